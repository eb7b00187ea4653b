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

__all__ = ['ProofreadToken', 'count_outcomes', 'draw_proofread_caption']

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

    def outcome(self, threshold: float) -> str:
        """How the model did: ``put right``, ``not put right`` (but found), ``missed``, ``false alarm``.

        Empty where there was nothing to do, or where the original is unknown. A word that was not found is missed,
        whatever its first candidate: nobody would have replaced it.
        """
        found = self.wrong > threshold
        if self.edited and found:
            return 'put right' if self.candidates[0][0] == self.original else 'not put right'
        if self.edited:
            return 'missed'
        return 'false alarm' if found and self.original is not None else ''


def count_outcomes(tokens: Sequence[ProofreadToken], threshold: float = 0.5) -> str:
    """What is to be said under the picture: how many words were edited, found, put right.

    Args:
        tokens: The caption, its originals known.
        threshold: P(wrong) above which a token is held for wrong.

    Examples:
        >>> found, missed = ProofreadToken('cars', 0.9, [('hats', 1)], 'hats'), ProofreadToken('a', 0, [('b', 1)], 'b')
        >>> count_outcomes([found, missed])
        '2 edited, 1 found, 1 put right'
    """
    outcomes = [token.outcome(threshold) for token in tokens]
    right, alarms = outcomes.count('put right'), outcomes.count('false alarm')
    found = right + outcomes.count('not put right')
    told = [f'{found + outcomes.count("missed")} edited', f'{found} found', f'{right} put right']
    return ', '.join(told + [f'{alarms} false alarm{"s" * (alarms > 1)}'] * (alarms > 0))


def draw_proofread_caption(
    image: np.ndarray, tokens: Sequence[ProofreadToken], threshold: float = 0.5, min_width: int = 480
) -> np.ndarray:
    """Draw a picture and its caption: words held for wrong in colours, and under it their corrections.

    A red underline is a word that was edited. A line under the caption is ticked if the word was put right, and crossed
    if it was not, was missed, or was right before.

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
    if not found:
        lines.append([Word('nothing held for wrong', color=FAINT)])
    for token in tokens:
        words = _told(token, fills.get(id(token)), token.outcome(threshold))
        if words:
            lines += wrap(words, size, room)
    if any(token.edited for token in tokens):
        originals = [
            Word(token.original or token.text, color=INK if token.edited else FAINT, bold=token.edited)
            for token in tokens
        ]
        lines += wrap([Word('original:', color=FAINT), *originals], size, room)
    return stack_panels([panel, text_panel(lines, panel.width, size)])


def _told(token: ProofreadToken, fill: tuple | None, outcome: str) -> list[Word]:
    """The line under the caption; empty for a token that is neither found nor missed."""
    words = []
    if fill:
        words.append(Word(f'{token.text} {token.wrong:.2f} →', fill=fill))
        words += [
            Word(f'{text} {score:.2f}', fill=fill, bold=i == 0) for i, (text, score) in enumerate(token.candidates)
        ]
    elif outcome:
        words.append(Word(f'{token.text} {token.wrong:.2f}'))
    if outcome:
        right = outcome == 'put right'
        words.append(Word(f'✓ {outcome}' if right else f'✗ {outcome}', color=RIGHT_COLOR if right else WRONG_COLOR))
    return words
