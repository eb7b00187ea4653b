"""SigLIP's loss: each picture with each text is a pair of its own, right or wrong."""

import math

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.model import BaseModule
from torch import Tensor, distributed, nn
from torch.utils.checkpoint import checkpoint

from mmvlforge.models.heads.contrastive_head import full_precision
from mmvlforge.registry import MODELS
from mmvlforge.structures import RetrievalFeatures


@MODELS.register_module()
class SigmoidContrastiveHead(BaseModule):
    """L_align by the sigmoid loss of SigLIP (Zhai et al., 2023, Algorithm 1), in the place of ContrastiveHead.

    L = -1/A Σ_i Σ_j log σ(y_ij (t z^v_i · z^t_j + b)), y_ij being 1 for a right pair and -1 for a wrong one; t and b
    are learnt. The batch is that of all processes together. There is no softmax over it, so that a process never holds
    more than its own B pictures against the texts of one process at a time, which go round from process to process
    (Section 3.3 there); similarities are worked out again in the backward pass. There are no queues and no momentum
    encoders.

    B pairs of this process, A pairs of all, D channels.

    Args:
        scale: Start of t; learnt as its logarithm. The paper's 10. A published model has its own (``HubPretrained``).
        bias: Start of b. The paper's -10: at first nearly all pairs are wrong ones.
        multi_positive: All captions and pictures with the same image id are right pairs; without it a picture's own
            caption is the only one. For data with several captions a picture.
        loss_weight: Weight of L_align, 1 in Eq. 13 of the ViLEM paper.
    """

    needs_keys = False

    def __init__(
        self, scale: float = 10.0, bias: float = -10.0, multi_positive: bool = False, loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.logit_bias = nn.Parameter(torch.tensor(float(bias)))
        self.multi_positive = multi_positive
        self.loss_weight = loss_weight

    @torch.no_grad()
    def start_scale(self, scale: Tensor, bias: Tensor | None = None) -> None:
        """Start t and b at those of a published model, whose ``logit_scale`` is log t; it need not have a bias."""
        self.logit_scale.copy_(scale.reshape(()))
        if bias is not None:
            self.logit_bias.copy_(bias.reshape(()))

    def loss(
        self,
        features: RetrievalFeatures,
        image_ids: Tensor,
        hard_texts: Tensor | None = None,
        hard_mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """L_align of one batch: this process's share, of which the mean over all processes is L.

        Args:
            features: z of the batch, with gradient ``(B, D)`` each; B may differ between processes.
            image_ids: Equal for pairs of one picture, at least 0, int64 ``(B,)``.
            hard_texts: Features of one more wrong text for each picture ``(B, D)``.
            hard_mask: True where there is one, bool ``(B,)``; None if there is one everywhere.
        """
        processes, size = get_world_size(), len(image_ids)
        sizes = [size]
        if processes > 1:  # they wait here for each other anyway, so that the host may wait for the numbers too
            sizes = torch.cat(all_gather(torch.tensor([size], device=image_ids.device))).tolist()
        if not sum(sizes):
            raise ValueError('SigmoidContrastiveHead: there is no pair in the batch')
        with full_precision(features.image):
            texts = F.pad(features.text, (0, 0, 0, max(sizes) - size))
            ids = F.pad(image_ids, (0, max(sizes) - size), value=-1)
            loss = self._chunk(features.image, texts, image_ids, ids, own=True)
            for _ in range(processes - 1):
                texts, ids = _HandOn.apply(texts), _hand_on(ids, 1)
                loss = loss + checkpoint(
                    self._chunk, features.image, texts, image_ids, ids, use_reentrant=False, preserve_rng_state=False
                )
            if hard_texts is not None:
                wrong = -F.logsigmoid(-self._logits((features.image * hard_texts).sum(dim=-1)))
                loss = loss + (wrong if hard_mask is None else wrong * hard_mask).sum()
        return dict(loss_align=self.loss_weight * loss * (processes / sum(sizes)))

    def _logits(self, cosines: Tensor) -> Tensor:
        return self.logit_scale.exp() * cosines + self.logit_bias

    def _chunk(self, images: Tensor, texts: Tensor, image_ids: Tensor, ids: Tensor, own: bool = False) -> Tensor:
        """The sum over this process's pictures and one process's texts ``(n, D)``, of which those of id -1 are none."""
        logits = self._logits(images @ texts.T)
        if self.multi_positive:
            right = image_ids[:, None] == ids
        else:
            right = torch.eye(*logits.shape, dtype=torch.bool, device=logits.device) & own
        return -(F.logsigmoid(torch.where(right, logits, -logits)) * (ids >= 0)).sum()


def _hand_on(tensor: Tensor, step: int) -> Tensor:
    """Give a tensor to the process ``step`` places on, and take that of the one as far behind."""
    processes, rank = get_world_size(), get_rank()
    sent, received = tensor.contiguous(), torch.empty_like(tensor, memory_format=torch.contiguous_format)
    operations = [
        distributed.P2POp(distributed.isend, sent, (rank + step) % processes),
        distributed.P2POp(distributed.irecv, received, (rank - step) % processes),
    ]
    for request in distributed.batch_isend_irecv(operations):
        request.wait()
    return received


class _HandOn(torch.autograd.Function):
    """Hand texts on to the next process; their gradients come back the other way."""

    @staticmethod
    def forward(ctx, texts):
        return _hand_on(texts, 1)

    @staticmethod
    def backward(ctx, gradient):
        return _hand_on(gradient, -1)
