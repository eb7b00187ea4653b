"""Which words are wrong."""

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.models.layers.attention import init_linear
from mmvlforge.registry import MODELS
from mmvlforge.structures import EditedText


@MODELS.register_module()
class ErrorDetectionHead(BaseModule):
    """Error detection P_det (Eq. 8 of the ViLEM paper): dense, GELU, LayerNorm, linear to the classes edited and kept.

    L_det is the sum over the n tokens of a caption, as in Eq. 8, and the mean over the batch's captions that have an
    edit: without one there is no error to find, and the loss of a batch without any is 0.

    Args:
        in_dims: Channels C.
        loss_weight: Weight of L_det beside L_cor, 1 in Eq. 10 and 12.
    """

    def __init__(self, in_dims: int = 768, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.classifier = nn.Sequential(
            init_linear(nn.Linear(in_dims, in_dims)),
            nn.GELU(),
            nn.LayerNorm(in_dims),
            init_linear(nn.Linear(in_dims, 2)),
        )
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
        losses = F.cross_entropy(self(tokens).float().transpose(1, 2), edited.detection, reduction='none')
        has_edit = (edited.detection == 0).any(dim=1)
        loss = (losses.sum(dim=1) * has_edit).sum() / has_edit.sum().clamp(min=1)
        return {f'{prefix}_detection': self.loss_weight * loss}
