"""A caption that was proofread, under its picture (Fig. 5 of the ViLEM paper)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmvlforge.visualization.drawing import (
    FAINT,
    INK,
    MARGIN,
    RIGHT_COLOR,
    WRONG_COLOR,
    Word,
    framed_picture,
    stack_panels,
    text_panel,
    wrap,
)

__all__ = ['ProofreadToken', 'draw_proofread_caption']

# One for each wrong word, by turns; dark text stays readable on all of them.
FILLS = ((255, 214, 153), (190, 214, 255), (204, 235, 176), (240, 200, 240), (255, 200, 196), (188, 232, 228))


class ProofreadToken(NamedTuple):
    """A token and what the model makes of it.

    Attributes:
        text: The token.
        wrong: P(the token is wrong).
        candidates: What should stand there, the best first: tokens and their probabilities.
        original: What stood there before an edition, where it is known.
    """

    text: str
    wrong: float
    candidates: Sequence[tuple[str, float]]
    original: str | None = None

    @property
    def edited(self) -> bool:
        """Whether the token is known to be wrong."""
        return self.original not in (None, self.text)


def draw_proofread_caption(
    image: np.ndarray, tokens: Sequence[ProofreadToken], threshold: float = 0.5, min_width: int = 480
) -> np.ndarray:
    """Draw a picture and its caption: words held for wrong in colours, and under it their corrections.

    A red underline is a word that was edited. A correction is ticked if its first candidate is the original, and
    crossed if it is not or if the word was right.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        tokens: The caption.
        threshold: P(wrong) above which a token is held for wrong.
        min_width: Smaller pictures are enlarged to this width in pixels.

    Returns:
        RGB, uint8.
    """
    panel, _ = framed_picture(image, min_width)
    size = max(16, panel.width // 28)
    room = panel.width - 2 * MARGIN
    found = [token for token in tokens if token.wrong > threshold]
    fills = {id(token): FILLS[i % len(FILLS)] for i, token in enumerate(found)}
    lines = wrap([Word(token.text, token.edited, fills.get(id(token))) for token in tokens], size, room)
    for token in found:
        lines += wrap(_correction(token, fills[id(token)]), size, room)
    if not found:
        lines.append([Word('nothing held for wrong', color=FAINT)])
    if any(token.edited for token in tokens):
        words = [Word(token.original, color=INK if token.edited else FAINT, bold=token.edited) for token in tokens]
        lines += wrap([Word('original:', color=FAINT), *words], size, room)
    return stack_panels([panel, text_panel(lines, panel.width, size)])


def _correction(token: ProofreadToken, fill: tuple) -> list:
    words = [Word(f'{token.text} {token.wrong:.2f} →', fill=fill)]
    words += [Word(f'{text} {score:.2f}', fill=fill, bold=i == 0) for i, (text, score) in enumerate(token.candidates)]
    if token.original is not None:
        right = token.edited and token.candidates[0][0] == token.original
        words.append(Word('✓' if right else '✗', color=RIGHT_COLOR if right else WRONG_COLOR))
    return words
