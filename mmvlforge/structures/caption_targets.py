"""What a retrieval model is taught about one batch, besides the pairs themselves."""

from typing import NamedTuple

from torch import Tensor


class CaptionTargets(NamedTuple):
    """Which pairs of a batch, or of a queue, share their picture.

    Attributes:
        image_ids: Number of each item's image, equal for all captions of one image, int64 ``(B,)``.
    """

    image_ids: Tensor
