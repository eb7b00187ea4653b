"""What a manipulation detector is taught: the labels of one batch."""

from typing import NamedTuple

from torch import Tensor

IGNORE = -100  # label of tokens that never count; cross-entropy's own


class ManipulationTargets(NamedTuple):
    """Labels of one batch, stacked by the data preprocessor (one transfer, no synchronisation in the heads).

    Attributes:
        fake: 1 if either modality is manipulated, int64 ``(B,)`` (y_b of Eq. 5).
        image_type: Class of the image branch, 0 = real, int64 ``(B,)`` (y_i of Eq. 4).
        text_type: Class of the text branch, 0 = real, int64 ``(B,)`` (y_t of Eq. 4).
        box: Manipulated region, cxcywh divided by the width and height of the network's picture, float32
            ``(B, 4)``, zeros without a region (y_mig of Eq. 7).
        has_box: True where there is a manipulated region, bool ``(B,)``.
        tokens: 1 = manipulated, 0 = original, -100 = special or padding, int64 ``(B, L)`` (y_mtg of Eq. 8).
    """

    fake: Tensor
    image_type: Tensor
    text_type: Tensor
    box: Tensor
    has_box: Tensor
    tokens: Tensor
