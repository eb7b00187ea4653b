"""How ViLEM's text encoder sees the picture (Sections 3.2.2 and 3.2.3 of the paper, Table 7).

Each path is called with ``ImageFeatures`` and M_1, the number of text layers, and returns what to give to the text
encoder: ``shift`` or ``memory``.
"""

import torch
from torch import Tensor

from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures

__all__ = ['GlobalPath', 'HighestLevelPath', 'LocalPath', 'UnifiedPath']


@MODELS.register_module()
class GlobalPath:
    """ViLEM with the global visual feature (Section 3.2.2): h^v is added to every word embedding.

    The word embeddings are those that the first layer receives, normalised and with their positions: h^v, a normalised
    feature as well, would drown them before.

    Args:
        loss_weight: λ2 of Eq. 13.
    """

    def __init__(self, loss_weight: float = 0.2) -> None:
        self.loss_weight = loss_weight

    def __call__(self, image: ImageFeatures, num_layers: int) -> dict:
        """Return ``shift`` ``(B, C)``."""
        return dict(shift=image.cls)


def levels_of_layers(image: ImageFeatures, num_layers: int) -> list[Tensor]:
    """Patches for text layers m = 1..M_1: those of image block l_m = floor(N / M_1) (m - 1) + 1 (Eq. 11).

    Raises:
        ValueError: More text layers than image blocks.
    """
    if num_layers > len(image.levels):
        raise ValueError(f'num_edit_layers {num_layers} must be at most the {len(image.levels)} levels of the picture')
    stride = len(image.levels) // num_layers
    return [image.levels[stride * index] for index in range(num_layers)]


@MODELS.register_module()
class LocalPath:
    """ViLEM with local visual features (Section 3.2.3): each text layer reads the patches of another image block.

    The paper does not say whether the image's [CLS] is read too; it is not.

    Args:
        loss_weight: λ1 of Eq. 13.
    """

    def __init__(self, loss_weight: float = 0.8) -> None:
        self.loss_weight = loss_weight

    def __call__(self, image: ImageFeatures, num_layers: int) -> dict:
        """Return ``memory``, ``(B, N, C)`` for each layer."""
        return dict(memory=levels_of_layers(image, num_layers))


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
