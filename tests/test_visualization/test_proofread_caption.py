import numpy as np
import pytest

from mmvlforge.visualization.drawing import MARGIN, RIGHT_COLOR, TRUE_COLOR, WRONG_COLOR
from mmvlforge.visualization.proofread_caption import FILLS, ProofreadToken, draw_proofread_caption

GREY = np.full((60, 120, 3), 128, np.uint8)
TOP = 240 + 2 * MARGIN  # the picture, enlarged to 480 pixels


def token(text, wrong, best, original=None):
    return ProofreadToken(text, wrong, [(best, 0.8), ('cat', 0.1), ('dog', 0.05)], original)


def rows(drawn, color):
    """Runs of rows below the picture that hold exactly this colour."""
    held = np.concatenate([[0], (drawn[TOP:] == color).all(-1).any(1).astype(int), [0]])
    return list(zip(np.flatnonzero(np.diff(held) == 1), np.flatnonzero(np.diff(held) == -1)))


def test_a_wrong_word_is_marked_and_corrected():
    drawn = draw_proofread_caption(GREY, [token('two', 0.1, 'two', 'two'), token('cars', 0.9, 'hats', 'hats')])
    assert drawn.shape[1] == 480 + 2 * MARGIN
    caption, correction = rows(drawn, FILLS[0])  # in the caption, and before its candidates
    assert caption[0] < 10 < 30 < correction[0]
    (underline,) = rows(drawn, TRUE_COLOR)
    assert underline[0] >= caption[1] - 1
    assert rows(drawn, RIGHT_COLOR) and not rows(drawn, WRONG_COLOR)
    assert not rows(drawn, FILLS[1])


@pytest.mark.parametrize('wrong', [token('cars', 0.9, 'cups', 'hats'), token('cars', 0.9, 'hats', 'cars')])
def test_a_bad_correction_and_a_false_alarm_are_crossed(wrong):
    drawn = draw_proofread_caption(GREY, [token('two', 0.1, 'two', 'two'), wrong])
    assert rows(drawn, WRONG_COLOR) and not rows(drawn, RIGHT_COLOR)
    assert bool(rows(drawn, TRUE_COLOR)) == (wrong.original == 'hats')


def test_unknown_truth_has_neither_tick_nor_underline():
    drawn = draw_proofread_caption(GREY, [token('two', 0.9, 'six'), token('cars', 0.8, 'hats')])
    assert rows(drawn, FILLS[0]) and rows(drawn, FILLS[1])
    assert not any(rows(drawn, color) for color in (TRUE_COLOR, RIGHT_COLOR, WRONG_COLOR))


def test_threshold():
    drawn = draw_proofread_caption(GREY, [token('two', 0.9, 'six', 'six')], threshold=0.95)
    assert not rows(drawn, FILLS[0]) and rows(drawn, TRUE_COLOR)
