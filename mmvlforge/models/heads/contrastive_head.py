"""Image-text contrastive learning with queues."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.registry import MODELS
from mmvlforge.structures import RetrievalFeatures


def gather_rows(tensors: list[Tensor]) -> tuple[list[Tensor], int]:
    """Join the rows of all processes in the order of their ranks, however many each of them has.

    Args:
        tensors: Each ``(rows, ...)``, without gradient; all with the same number of rows.

    Returns:
        The tensors with all rows, and the place of this process's first row among them.
    """
    if get_world_size() == 1:
        return tensors, 0
    # Several processes wait here for each other anyway, so that the host may wait for the numbers too.
    counts = torch.cat(all_gather(torch.tensor([len(tensors[0])], device=tensors[0].device))).tolist()
    joined = []
    for tensor in tensors:
        padding = tensor.new_zeros(max(counts) - len(tensor), *tensor.shape[1:])
        parts = all_gather(torch.cat([tensor, padding]))
        joined.append(torch.cat([part[:count] for part, count in zip(parts, counts)]))
    return joined, sum(counts[: get_rank()])


def full_precision(tensor: Tensor) -> AbstractContextManager:
    """Leave autocast: a similarity of 8 bits, divided by a small temperature, would be far off."""
    device = tensor.device.type
    available = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if available else nullcontext()


@MODELS.register_module()
class ContrastiveHead(BaseModule):
    """L_align (Eq. 3-5 of the ViLEM paper): InfoNCE both ways against momentum keys of the batch and of two queues.

    The batch is that of all processes together. Queues, their ids, the place of the next key and the number of steps
    are buffers: a resumed run goes on where it stopped.

    B pairs of this process, A pairs of all, Nq keys in a queue, D channels.

    Args:
        embed_dims: D.
        queue_size: Nq. The oldest keys make room for a new batch of any size.
        temperature: Start of the learnable τ.
        temperature_range: τ is kept within.
        multi_positive: All captions and pictures with the query's image id are positives, with equal shares; without
            it its own partner is the only one. For data with several captions a picture.
        distill_alpha: Share of the momentum encoders' own similarities in the targets (momentum distillation); 0 is the
            paper.
        distill_ramp: Steps in which that share rises from 0, usually those of one epoch.
        loss_weight: Weight of L_align, 1 in Eq. 13.
    """

    needs_keys = True  # of momentum encoders

    def __init__(
        self,
        embed_dims: int = 256,
        queue_size: int = 65536,
        temperature: float = 0.07,
        temperature_range: tuple[float, float] = (0.001, 0.5),
        multi_positive: bool = False,
        distill_alpha: float = 0.0,
        distill_ramp: int = 1,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(float(temperature)))
        self.temperature_range = temperature_range
        self.multi_positive = multi_positive
        self.distill_alpha = distill_alpha
        self.distill_ramp = distill_ramp
        self.loss_weight = loss_weight
        self.register_buffer('image_queue', F.normalize(torch.randn(queue_size, embed_dims), dim=-1))
        self.register_buffer('text_queue', F.normalize(torch.randn(queue_size, embed_dims), dim=-1))
        self.register_buffer('id_queue', torch.full((queue_size,), -1))
        self.register_buffer('next_key', torch.zeros((), dtype=torch.int64))
        self.register_buffer('steps', torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def start_scale(self, scale: Tensor, bias: Tensor | None = None) -> None:
        """Start τ at that of a published model, whose ``logit_scale`` is log 1/τ. A ``bias`` has no place here."""
        self.temperature.copy_((-scale).exp().reshape(()))

    def loss(
        self,
        features: RetrievalFeatures,
        keys: RetrievalFeatures,
        image_ids: Tensor,
        hard_texts: Tensor | None = None,
        hard_mask: Tensor | None = None,
    ) -> dict:
        """L_align of one batch, whose keys then enter the queues.

        Args:
            features: z of the batch, with gradient ``(B, D)`` each.
            keys: ẑ of the batch, without ``(B, D)`` each.
            image_ids: Equal for pairs of one picture, at least 0, int64 ``(B,)``.
            hard_texts: Features of one more wrong text for each picture ``(B, D)``.
            hard_mask: True where there is one, bool ``(B,)``; None if there is one everywhere.
        """
        with torch.no_grad():
            self.temperature.clamp_(*self.temperature_range)
        (images, texts, ids), offset = gather_rows([*keys, image_ids])
        all_ids = torch.cat([ids, self.id_queue])
        with full_precision(keys.image):
            positives = self._positives(image_ids, all_ids, offset)
            all_texts, all_images = torch.cat([texts, self.text_queue]), torch.cat([images, self.image_queue])
            to_text = features.image @ all_texts.T / self.temperature
            to_image = features.text @ all_images.T / self.temperature
            text_targets = self._targets(positives, keys.image, all_texts)
            image_targets = self._targets(positives, keys.text, all_images)
            if hard_texts is not None:
                hard = (features.image * hard_texts).sum(dim=-1) / self.temperature
                if hard_mask is not None:
                    hard = hard.masked_fill(~hard_mask, -1e4)  # not -inf, of which a target of 0 would make NaN
                to_text = torch.cat([to_text, hard[:, None]], dim=1)
                text_targets = F.pad(text_targets, (0, 1))
            loss = (F.cross_entropy(to_text, text_targets) + F.cross_entropy(to_image, image_targets)) / 2
        self._enqueue(images, texts, ids)
        self.steps.add_(1)
        return dict(loss_align=self.loss_weight * loss)

    def _positives(self, image_ids: Tensor, all_ids: Tensor, offset: int) -> Tensor:
        """Hard targets ``(B, A + Nq)``, each row of sum 1."""
        if self.multi_positive:
            same = image_ids[:, None] == all_ids
        else:
            rows = torch.arange(len(image_ids), device=image_ids.device)
            same = rows[:, None] + offset == torch.arange(len(all_ids), device=image_ids.device)
        return same / same.sum(dim=1, keepdim=True)

    @torch.no_grad()
    def _targets(self, positives: Tensor, own_keys: Tensor, all_keys: Tensor) -> Tensor:
        """Hard targets, softened by momentum distillation."""
        if not self.distill_alpha:
            return positives
        alpha = self.distill_alpha * (self.steps / self.distill_ramp).clamp(max=1)
        return torch.lerp(positives, (own_keys @ all_keys.T / self.temperature).softmax(dim=1), alpha)

    @torch.no_grad()
    def _enqueue(self, images: Tensor, texts: Tensor, ids: Tensor) -> None:
        size = len(self.id_queue)
        rows = (self.next_key + torch.arange(len(ids), device=ids.device)) % size
        last = slice(-size, None)  # of a batch larger than the queue
        for queue, keys in ((self.image_queue, images), (self.text_queue, texts), (self.id_queue, ids)):
            queue[rows[last]] = keys[last].to(queue.dtype)
        self.next_key.add_(len(ids)).remainder_(size)
