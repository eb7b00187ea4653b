"""What a dual encoder compares."""

from typing import NamedTuple

from torch import Tensor


class RetrievalFeatures(NamedTuple):
    """z^v and z^t of Section 3.1 of the ViLEM paper; each row has length 1, a dot product is a cosine.

    Attributes:
        image: Of each picture ``(pictures, D)``.
        text: Of each caption ``(captions, D)``.
    """

    image: Tensor
    text: Tensor
