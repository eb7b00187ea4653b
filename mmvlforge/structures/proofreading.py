"""What a model makes of a caption whose words may be wrong."""

from typing import NamedTuple, Optional

from torch import Tensor


class Proofreading(NamedTuple):
    """Error detection and correction for each token, special tokens and padding included.

    B captions, L tokens, k candidates. What needs a head that the model lacks is None.

    Attributes:
        wrong: P(the token was edited) ``(B, L)``.
        candidates: Ids of the most likely original tokens, the best first, int64 ``(B, L, k)``.
        scores: Their probabilities ``(B, L, k)``.
    """

    wrong: Optional[Tensor]
    candidates: Optional[Tensor]
    scores: Optional[Tensor]
