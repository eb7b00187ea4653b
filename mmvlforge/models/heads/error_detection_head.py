"""Which words are wrong."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.models.layers.attention import init_linear
from mmvlforge.registry import MODELS
from mmvlforge.structures import EditedText


@MODELS.register_module()
class ErrorDetectionHead(BaseModule):
    """Error detection P_det (Eq. 8 of the ViLEM paper): dense, GELU, LayerNorm, linear to the classes edited and kept.

    L_det is the sum over the n word tokens of a caption (special tokens and padding do not count), as in Eq. 8, and the
    mean over all captions of the batch, also those without an edit: a proofreader must know a right caption too. Each
    process takes the mean over its own batch.

    Args:
        in_dims: Channels C.
        init_std: Deviation of the last map's weights at the start, BERT's by default. The features before it are
            normalised, so that the logits start with about ``init_std * sqrt(in_dims)``. Xavier's would start at 1.4,
            and a gradient that, summed over all tokens, drowns L_align's in the image encoder.
        edit_prior: Share of edited tokens that the logits start with, the paper's rate by default. With 0.5 every token
            pulls towards "kept" at first, and the common pull drowns L_align's gradient as well.
        skip_unedited: Leave captions without an edit out of the sum and of the mean; the loss of a batch without any
            edit is then 0.
        loss_weight: Weight of L_det beside L_cor, 1 in Eq. 10 and 12.
    """

    def __init__(
        self,
        in_dims: int = 768,
        init_std: float = 0.02,
        edit_prior: float = 0.15,
        skip_unedited: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        dense, last = init_linear(nn.Linear(in_dims, in_dims)), nn.Linear(in_dims, 2)
        self.classifier = nn.Sequential(dense, nn.GELU(), nn.LayerNorm(in_dims), last)
        nn.init.normal_(last.weight, std=init_std)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([edit_prior, 1 - edit_prior]).log())
        self.skip_unedited = skip_unedited
        self.loss_weight = loss_weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of edited and kept for each token ``(B, L, 2)``."""
        return self.classifier(tokens)

    def loss(self, tokens: Tensor, edited: EditedText, prefix: str = 'loss') -> dict[str, Tensor]:
        """L_det.

        Args:
            tokens: ``(B, L, C)``.
            edited: The captions they were made from.
            prefix: What the loss's name begins with.
        """
        losses = F.cross_entropy(self(tokens).float().transpose(1, 2), edited.detection, reduction='none').sum(dim=1)
        if self.skip_unedited:
            has_edit = (edited.detection == 0).any(dim=1)
            loss = (losses * has_edit).sum() / has_edit.sum().clamp(min=1)
        else:
            loss = losses.mean()
        return {f'{prefix}_detection': self.loss_weight * loss}
