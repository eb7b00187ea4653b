"""A batch of captions in which some words were replaced, with what proofreading must find and restore."""

from typing import NamedTuple

from torch import Tensor


class EditedText(NamedTuple):
    """Edited captions and the labels of ViLEM's two tasks (Sec. 3.2 of the ViLEM paper).

    B captions, L sub-word tokens of the batch's longest caption, [CLS] first, as in ``VLInputs``.

    Attributes:
        input_ids: Token ids after the edition, int64 ``(B, L)``.
        detection: 1 = kept, 0 = edited, -100 = special token or padding, int64 ``(B, L)`` (y_det).
        correction: The original id where a token was edited, -100 elsewhere, int64 ``(B, L)`` (y_cor).
    """

    input_ids: Tensor
    detection: Tensor
    correction: Tensor
