import numpy as np
import pytest

from mmvlforge.visualization.drawing import MARGIN, RIGHT_COLOR, TRUE_COLOR, WRONG_COLOR
from mmvlforge.visualization.proofread_caption import FILLS, ProofreadToken, count_outcomes, draw_proofread_caption

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
    (underline,) = rows(drawn, TRUE_COLOR)  # in the caption alone
    assert underline[0] >= caption[1] - 1
    assert rows(drawn, RIGHT_COLOR) and not rows(drawn, WRONG_COLOR)
    assert not rows(drawn, FILLS[1])


@pytest.mark.parametrize('wrong', [token('cars', 0.9, 'cups', 'hats'), token('cars', 0.9, 'hats', 'cars')])
def test_a_bad_correction_and_a_false_alarm_are_crossed(wrong):
    drawn = draw_proofread_caption(GREY, [token('two', 0.1, 'two', 'two'), wrong])
    assert rows(drawn, WRONG_COLOR) and not rows(drawn, RIGHT_COLOR)
    assert bool(rows(drawn, TRUE_COLOR)) == (wrong.original == 'hats')


def test_a_missed_word_is_crossed_whatever_its_first_candidate():
    missed = token('cars', 0.4, 'hats', 'hats')
    drawn = draw_proofread_caption(GREY, [token('two', 0.1, 'two', 'two'), missed])
    assert rows(drawn, WRONG_COLOR) and not rows(drawn, RIGHT_COLOR) and not rows(drawn, FILLS[0])
    assert count_outcomes([missed]) == '1 edited, 0 found, 0 put right'


def test_what_is_counted():
    put_right = token('cars', 0.9, 'hats', 'hats')
    not_put_right = token('cars', 0.9, 'cups', 'hats')
    missed = token('cars', 0.5, 'hats', 'hats')  # at the threshold, not above it
    alarm, kept, own = token('two', 0.8, 'six', 'two'), token('two', 0.1, 'six', 'two'), token('two', 0.9, 'six')
    outcomes = ['put right', 'not put right', 'missed', 'false alarm', '', '']
    caption = [put_right, not_put_right, missed, alarm, kept, own]
    assert [word.outcome(0.5) for word in caption] == outcomes
    assert count_outcomes(caption) == '3 edited, 2 found, 1 put right, 1 false alarm'
    assert count_outcomes([alarm, alarm, missed]) == '1 edited, 0 found, 0 put right, 2 false alarms'
    assert count_outcomes(caption, threshold=0.85) == '3 edited, 2 found, 1 put right'
    assert count_outcomes(caption, threshold=0.2) == '3 edited, 3 found, 2 put right, 1 false alarm'


def test_unknown_truth_has_neither_tick_nor_underline():
    drawn = draw_proofread_caption(GREY, [token('two', 0.9, 'six'), token('cars', 0.8, 'hats')])
    assert rows(drawn, FILLS[0]) and rows(drawn, FILLS[1])
    assert not any(rows(drawn, color) for color in (TRUE_COLOR, RIGHT_COLOR, WRONG_COLOR))


def test_threshold():
    drawn = draw_proofread_caption(GREY, [token('two', 0.9, 'six', 'six')], threshold=0.95)
    assert not rows(drawn, FILLS[0]) and rows(drawn, TRUE_COLOR)
