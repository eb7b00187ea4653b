"""What a multi-level image encoder returns."""

from typing import NamedTuple, Tuple

from torch import Tensor


class ImageFeatures(NamedTuple):
    """Features of a batch of pictures, the intermediate ones included (Section 3.2.3 of the ViLEM paper).

    B pictures, N patches, C channels.

    Attributes:
        cls: h^v, the global feature ``(B, C)``.
        levels: H^v, the patches after each block of the encoder, the lowest first, each ``(B, N, C)``.
    """

    cls: Tensor
    levels: Tuple[Tensor, ...]
