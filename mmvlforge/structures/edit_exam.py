"""How a model proofread the edited captions of one item."""

from typing import Dict, NamedTuple, Optional, Tuple

from torch import Tensor


class EditExam(NamedTuple):
    """What was edited, and what each path of ViLEM makes of it, special tokens and padding left out.

    T word tokens of the item's captions end to end, E of them edited, k candidates.

    Attributes:
        input_ids: Ids after the edition, int64 ``(T,)``.
        edited: True for an edited token, bool ``(T,)``.
        originals: Ids that stood there before, int64 ``(E,)``.
        readings: By path: P(the token was edited) ``(T,)``, and the most likely originals of the edited tokens, the
            best first, int64 ``(E, k)``; None where the model lacks that head.
    """

    input_ids: Tensor
    edited: Tensor
    originals: Tensor
    readings: Dict[str, Tuple[Optional[Tensor], Optional[Tensor]]]
