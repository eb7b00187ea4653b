"""The whole picture and its patches side by side."""

import torch

from mmvlforge.models.paths.local_path import levels_of_layers
from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures


@MODELS.register_module()
class UnifiedPath:
    """Table 7, E: each text layer reads the global feature, put in front of the patches of Eq. 11.

    Args:
        loss_weight: λ1 + λ2 of Eq. 13, since it stands for both paths.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        self.loss_weight = loss_weight

    def __call__(self, image: ImageFeatures, num_layers: int) -> dict:
        """Return ``memory``, ``(B, 1 + N, C)`` for each layer."""
        cls = image.cls[:, None]
        return dict(memory=[torch.cat([cls, patches], dim=1) for patches in levels_of_layers(image, num_layers)])
