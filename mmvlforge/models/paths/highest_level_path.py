"""Patches of the last level alone."""

from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures


@MODELS.register_module()
class HighestLevelPath:
    """Table 7, D: every text layer reads the patches of the last image block.

    Args:
        loss_weight: λ1 of Eq. 13.
    """

    def __init__(self, loss_weight: float = 0.8) -> None:
        self.loss_weight = loss_weight

    def __call__(self, image: ImageFeatures, num_layers: int) -> dict:
        """Return ``memory``, ``(B, N, C)`` for each layer."""
        return dict(memory=[image.levels[-1]] * num_layers)
