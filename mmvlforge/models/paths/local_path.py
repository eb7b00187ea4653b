"""Patches of several levels."""

from typing import List

from torch import Tensor

from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures


def levels_of_layers(image: ImageFeatures, num_layers: int) -> List[Tensor]:
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
