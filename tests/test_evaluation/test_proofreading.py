"""Detection and correction of edited words."""

import pytest
import torch

from mmvlforge.evaluation import ProofreadingMetric
from mmvlforge.evaluation.proofreading import blind_proofreading, proofreading_metrics
from mmvlforge.structures import EditExam

EDITED = [True, False, True, False, False]
CANDIDATES = [[9, 1, 2, 3, 4, 7], [5, 6, 8, 9, 1, 7]]


def test_by_hand():
    # The edit of .7 is above all three kept tokens, that of .2 above one and beside one: (3 + 1.5) of 6 pairs.
    found = proofreading_metrics(EDITED, [9, 7], [0.7, 0.2, 0.2, 0.1, 0.5], CANDIDATES)
    assert found == {'detection_AUC': 75.0, 'correction_top1': 50.0, 'correction_top5': 50.0}
    assert proofreading_metrics(EDITED, [1, 1], candidates=CANDIDATES) == dict(correction_top1=0.0, correction_top5=100)
    assert list(proofreading_metrics(EDITED, [9, 7], [0.1] * 5)) == ['detection_AUC']


def test_detection_among_editable_words():
    # Without the last token the edits are above both kept tokens, and above none and beside one: (2 + .5) of 4 pairs.
    wrong = [0.7, 0.2, 0.2, 0.3, 0.5]
    found = proofreading_metrics(EDITED, [9, 7], wrong, editable=[True] * 4 + [False])
    assert found == {'detection_AUC': 100 * 3.5 / 6, 'detection_AUC_editable': 62.5}
    # To know what may be edited is worth something over all tokens only.
    editable = [True, True, True, False, False]
    found = proofreading_metrics(EDITED, [9, 7], [0.9, 0.9, 0.9, 0.1, 0.1], editable=editable)
    assert found == {'detection_AUC': pytest.approx(100 * 5 / 6), 'detection_AUC_editable': 50.0}


def test_blind_guesser_knows_frequencies():
    # 4 of 3, 3 of 8, 2 of 5 and one each of 1, 2, 9, 6: the first five words cover 11 of 13.
    originals = [3] * 4 + [8] * 3 + [5] * 2 + [1, 2, 9, 6]
    # Word 20 is wrong in 12 of 16 places, 21 in 1 of 3, 22 never: (12 · (4 + 2 + 5) - 12 · 4 / 2 + 1 · (2 / 2 + 5)) of
    # 13 · 11 pairs are in order.
    ids, edited = [20] * 16 + [21] * 3 + [22] * 5, [True] * 12 + [False] * 4 + [True] + [False] * 7
    assert blind_proofreading(edited, originals, ids) == dict(
        detection_AUC=pytest.approx(100 * (12 * 11 - 24 + 6) / 143),
        correction_top1=pytest.approx(400 / 13),
        correction_top5=pytest.approx(1100 / 13),
    )


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (([False, False], []), 'at least one'),
        ((EDITED, [9, 7], [0.5] * 5, None, [True] * 4), r'editable: shape \(4,\), must be \(5,\)'),
        ((EDITED, [9, 7], [0.5] * 5, None, [False] + [True] * 4), 'editable: 1 tokens were edited that could not be'),
        ((EDITED, [9]), r'originals: shape \(1,\) for 2 edited tokens'),
        ((EDITED, [9, 7], [0.5] * 4), r'wrong: shape \(4,\), must be \(5,\)'),
        ((EDITED, [9, 7], None, [[1] * 4] * 2), r'candidates: shape \(2, 4\), must be \(2, 5 or more\)'),
        ((EDITED, [9, 7], None, [[1] * 5]), r'candidates: shape \(1, 5\), must be \(2, 5 or more\)'),
    ],
)
def test_wrong_shapes(args, message):
    with pytest.raises(ValueError, match=message):
        proofreading_metrics(*args)


def exam(edited, editable, originals, wrong, candidates):
    reading = (torch.tensor(wrong), torch.tensor(candidates))
    return EditExam(
        torch.arange(len(edited)),
        torch.tensor(edited),
        torch.tensor(editable),
        torch.tensor(originals),
        {'local': reading, 'global': (reading[0], None)},
    )


def test_metric_joins_samples_once_each():
    parts = [
        dict(index=0, pred_proofreading=exam(EDITED[:2], [True, True], [9], [0.7, 0.2], CANDIDATES[:1])),
        dict(index=1, pred_proofreading=exam(EDITED[2:], [True, True, False], [7], [0.2, 0.1, 0.5], CANDIDATES[1:])),
    ]
    metric = ProofreadingMetric()
    for part in (parts[1], parts[0], parts[1]):  # a sampler may repeat one
        metric.process({}, [part])
    assert metric.evaluate(2) == {
        'detection_AUC/local': 75.0,
        'detection_AUC_editable/local': 87.5,
        'correction_top1/local': 50.0,
        'correction_top5/local': 50.0,
        'detection_AUC/global': 75.0,
        'detection_AUC_editable/global': 87.5,
        # ids 0 and 1, then 0, 1, 2: word 0 is always wrong, the others never
        'detection_AUC/chance': 100.0,
        'detection_AUC_editable/chance': 100.0,
        'correction_top1/chance': 50.0,
        'correction_top5/chance': 100.0,
    }


def test_a_model_that_did_not_proofread():
    with pytest.raises(ValueError, match="sample 3: no field 'pred_proofreading', which the model's predict writes"):
        ProofreadingMetric().process({}, [dict(index=3)])
