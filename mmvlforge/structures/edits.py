"""Edited captions, and what a model makes of captions whose words may be wrong (Sec. 3.2 of the ViLEM paper)."""

from typing import NamedTuple

from torch import Tensor

__all__ = ['EditExam', 'EditedText', 'Proofreading']


class EditedText(NamedTuple):
    """Edited captions and the labels of ViLEM's two tasks.

    B captions, L sub-word tokens of the batch's longest caption, [CLS] first, as in ``VLInputs``.

    Attributes:
        input_ids: Token ids after the edition, int64 ``(B, L)``.
        detection: 1 = kept, 0 = edited, -100 = special token or padding, int64 ``(B, L)`` (y_det).
        correction: The original id where a token was edited, -100 elsewhere, int64 ``(B, L)`` (y_cor).
    """

    input_ids: Tensor
    detection: Tensor
    correction: Tensor


class Proofreading(NamedTuple):
    """Error detection and correction for each token, special tokens and padding included.

    B captions, L tokens, k candidates. What needs a head that the model lacks is None.

    Attributes:
        wrong: P(the token was edited) ``(B, L)``.
        candidates: Ids of the most likely original tokens, the best first, int64 ``(B, L, k)``.
        scores: Their probabilities ``(B, L, k)``.
    """

    wrong: Tensor | None
    candidates: Tensor | None
    scores: Tensor | None


class EditExam(NamedTuple):
    """What was edited, and what each path of ViLEM makes of it, special tokens and padding left out.

    T word tokens of the item's captions end to end, E of them edited, k candidates.

    Attributes:
        input_ids: Ids after the edition, int64 ``(T,)``.
        edited: True for an edited token, bool ``(T,)``.
        editable: True for a token that could have been edited, bool ``(T,)``.
        originals: Ids that stood there before, int64 ``(E,)``.
        readings: By path: P(the token was edited) ``(T,)``, and the most likely originals of the edited tokens, the
            best first, int64 ``(E, k)``; None where the model lacks that head.
    """

    input_ids: Tensor
    edited: Tensor
    editable: Tensor
    originals: Tensor
    readings: dict[str, tuple[Tensor | None, Tensor | None]]
