"""Metric maths against values worked out by hand."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from mmvlforge.evaluation.manipulation import (
    average_precision,
    binary_metrics,
    box_iou,
    box_metrics,
    box_scores,
    clip_boxes,
    manipulation_breakdown,
    roc_points,
    token_metrics,
    type_breakdown,
    type_metrics,
)

ANNOTATIONS = Path(
    os.environ.get('MMVLFORGE_DGM4_ANNOTATIONS', Path(__file__).parents[3] / 'shared' / 'data' / 'dgm4_annotations')
)

LABELS = [0, 0, 1, 1, 0, 1, 0, 1, 1, 0]
SCORES = [0.1, 0.4, 0.35, 0.8, 0.2, 0.7, 0.6, 0.9, 0.3, 0.05]

# Two types, four rows. Type 0: 1 right of 2 predicted, 2 true. Type 1: 1 right of 2 predicted (0 counts), 1 true.
TYPE_LABELS = [[1, 0], [1, 0], [0, 1], [0, 0]]
TYPE_SCORES = [[2, -1], [-1, -2], [1, 3], [-2, 0]]

# Truth and prediction: right "no box"; false alarm; true box at the left edge missed; missed; half; exact.
TRUE_BOXES = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 5, 10, 10], [2, 2, 4, 4], [10, 0, 20, 10], [1, 1, 3, 3]]
PRED_BOXES = [[0, 0, 0, 0], [1, 1, 2, 2], [0, 0, 0, 0], [0, 0, 0, 0], [10, 0, 20, 5], [1, 1, 3, 3]]


def test_binary_fixture():
    assert binary_metrics(SCORES, LABELS) == pytest.approx(dict(AUC=84, EER=40, ACC=70))


@pytest.mark.parametrize(
    ('scores', 'labels', 'auc', 'eer'),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 100, 0),
        ([0.1, 0.9], [1, 0], 0, 100),
        ([0.5] * 5, [1, 0, 1, 1, 0], 50, 50),
        # The tie makes a sloped piece from (0, 1/2) to (1/2, 1); 1 - x = 1/2 + x there.
        ([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0], 87.5, 25),
        # The crossing lies on a vertical piece, at fpr 1/2, between tpr 0 and 1.
        ([0.9, 0.5, 0.1], [0, 1, 0], 50, 50),
    ],
)
def test_binary_by_hand(scores, labels, auc, eer):
    found = binary_metrics(scores, labels)
    assert (found['AUC'], found['EER']) == pytest.approx((auc, eer))


def test_auc_is_the_share_of_ordered_pairs():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 20, 200) / 20, rng.random(200) < 0.3
    pairs = scores[labels][:, None] - scores[~labels]
    expected = 100 * np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert binary_metrics(scores, labels)['AUC'] == pytest.approx(expected, abs=1e-12)


def test_roc_points_step_once_for_a_tie():
    fp, tp = roc_points(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    assert fp.tolist() == [0, 0, 1, 2]
    assert tp.tolist() == [0, 1, 2, 2]


def test_accuracy_counts_strictly_above_half():
    assert binary_metrics([0.5, 0.5, 0.6], [0, 0, 1])['ACC'] == 100


@pytest.mark.parametrize(('label', 'kind'), [(0, 'real'), (1, 'fake')])
def test_one_class_is_chance_with_a_warning(label, kind):
    with pytest.warns(UserWarning, match=f'all 2 rows are {kind}'):
        found = binary_metrics([0.2, 0.7], [label, label])
    assert found == dict(AUC=50, EER=50, ACC=50)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_scores_that_are_no_numbers_name_the_row(bad):
    with pytest.raises(ValueError, match='fake score: row 1 holds'):
        binary_metrics([0.5, bad], [0, 1])
    with pytest.raises(ValueError, match='type scores: row 2 holds'):
        type_metrics([[0, 0], [0, 0], [bad, 0]], [[1, 0], [0, 1], [0, 0]])
    with pytest.raises(ValueError, match='predicted box: row 0 holds'):
        box_metrics([[0, 0, bad, 1]], [[1, 1, 2, 2]])


def test_no_rows_is_an_error():
    for call in (lambda: binary_metrics([], []), lambda: box_metrics([], []), lambda: token_metrics([])):
        with pytest.raises(ValueError, match='no rows'):
            call()


def test_average_precision_by_hand():
    assert average_precision([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 0, 1]) == pytest.approx(100 * (1 + 2 / 3 + 3 / 5) / 3)
    # One hit among two equal scores: at rank 1 or rank 2, on average (1 + 1/2) / 2.
    assert average_precision([0.5, 0.5], [0, 1]) == pytest.approx(75)
    with pytest.raises(ValueError, match='at least one positive'):
        average_precision([0.5], [0])


def test_average_precision_of_ties_is_the_mean_over_their_orders():
    scores, labels = np.array([3, 2, 2, 2, 1, 1, 0]), np.array([0, 1, 0, 1, 1, 0, 1])

    def of_order(order):
        hits = labels[list(order)]
        return np.sum(hits * np.cumsum(hits) / np.arange(1, len(hits) + 1)) / hits.sum()

    orders = [o for o in itertools.permutations(range(7)) if all(np.diff(scores[list(o)]) <= 0)]
    assert len(orders) == 12
    assert average_precision(scores, labels) == pytest.approx(100 * np.mean([of_order(o) for o in orders]))


def test_type_metrics_by_hand():
    expected = dict(
        mAP=100 * (5 / 6 + 1) / 2,
        CF1=60,  # CP = 1/2, CR = 3/4; the mean of the classes' F1 would be 58.3
        OF1=100 * 4 / 7,  # OP = 2/4, OR = 2/3
    )
    assert type_metrics(TYPE_SCORES, TYPE_LABELS) == pytest.approx(expected)


def test_no_type_predicted_gives_zero():
    found = type_metrics([[-1, -2], [-2, -1]], [[1, 0], [0, 1]])
    assert found == dict(mAP=100, CF1=0, OF1=0)


def test_absent_type_is_left_out_with_a_warning():
    scores, labels = [[1, 9], [-1, -9]], [[1, 0], [0, 0]]
    with pytest.warns(UserWarning, match=r'no row has manipulation type \[1\]'):
        found = type_metrics(scores, labels)
    # mAP and CF1 know only type 0; the false alarm of type 1 still halves OP.
    assert found == pytest.approx(dict(mAP=100, CF1=100, OF1=100 * 2 / 3))
    with pytest.warns(UserWarning, match=r'\[0, 1\]'):
        assert type_metrics(scores, np.zeros((2, 2))) == dict(mAP=0, CF1=0, OF1=0)


def test_type_breakdown_by_hand():
    found = type_breakdown(
        np.append(TYPE_SCORES, [[1]] * 4, axis=1), np.append(TYPE_LABELS, [[0]] * 4, axis=1), ['a', 'b', 'c']
    )
    assert found['a'] == pytest.approx(dict(samples=2, AP=100 * 5 / 6, Precision=50, Recall=50, F1=50))
    assert found['b'] == pytest.approx(dict(samples=1, AP=100, Precision=50, Recall=100, F1=100 * 2 / 3))
    assert found['c'] == dict(samples=0, AP=None, Precision=0, Recall=None, F1=None)


def test_types_must_match_in_shape():
    with pytest.raises(ValueError, match=r'\(2, 3\).*\(2, 2\)'):
        type_metrics(np.zeros((2, 3)), np.zeros((2, 2)))


def test_iou_fixture():
    # cxcywh [.55, .5, .2, .2] against [.5, .5, .2, .2]
    assert box_iou([[0.45, 0.4, 0.65, 0.6]], [[0.4, 0.4, 0.6, 0.6]]) == pytest.approx([0.6])


def test_iou_of_distant_and_empty_boxes_is_zero():
    boxes = [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    others = [[2, 2, 3, 3], [0, 0, 0, 0], [0, 0, 5, 5]]
    assert box_iou(boxes, others).tolist() == [0, 0, 0]


def test_protocols_differ_only_at_the_left_edge():
    assert box_scores(PRED_BOXES, TRUE_BOXES, 'dgm4').tolist() == [1, 0, 1, 0, 0.5, 1]
    assert box_scores(PRED_BOXES, TRUE_BOXES, 'strict').tolist() == [1, 0, 0, 0, 0.5, 1]
    with pytest.raises(ValueError, match="'loose'.*'dgm4', 'strict'"):
        box_scores(PRED_BOXES, TRUE_BOXES, 'loose')


def test_predicted_box_at_the_left_edge_is_scored_by_overlap():
    for protocol in ('dgm4', 'strict'):
        assert box_scores([[0, 0, 10, 5]], [[0, 0, 10, 10]], protocol).tolist() == [0.5]


def test_box_metrics_by_hand():
    # An overlap of exactly 1/2 is not above 1/2. Four rows have a true box; their overlaps are 0, 0, 1/2, 1.
    expected = dict(IoUmean=100 * 3.5 / 6, IoU50=50, IoU75=50, IoUmean_boxed=37.5)
    assert box_metrics(PRED_BOXES, TRUE_BOXES) == pytest.approx(expected)
    expected.update(IoUmean=100 * 2.5 / 6, IoU50=100 / 3, IoU75=100 / 3)
    assert box_metrics(PRED_BOXES, TRUE_BOXES, 'strict') == pytest.approx(expected)


def test_thresholds_are_strict():
    found = box_metrics([[1, 1, 5, 4], [1, 1, 5, 3]], [[1, 1, 5, 5]] * 2)
    assert found == dict(IoUmean=62.5, IoU50=50, IoU75=0, IoUmean_boxed=62.5)


def test_a_box_beyond_the_picture_is_cut_by_strict_alone():
    """A worked case: 11 of 13 columns are shared (.846); cut at the left edge, 11 of 12 (.917)."""
    predicted, truth, sizes = [[-1, 2, 12, 12]], [[0, 2, 11, 12]], [[30, 20]]
    assert box_scores(predicted, truth, 'dgm4', sizes).tolist() == pytest.approx([11 / 13])
    assert box_scores(predicted, truth, 'strict', sizes).tolist() == pytest.approx([11 / 12])
    assert box_scores(truth, predicted, 'dgm4', sizes).tolist() == pytest.approx([11 / 13])
    assert box_scores(truth, predicted, 'strict', sizes).tolist() == pytest.approx([11 / 12])
    # Of unknown size, or with one picture known and one not.
    assert box_scores(predicted, truth, 'strict').tolist() == pytest.approx([11 / 13])
    assert box_scores(predicted * 2, truth * 2, 'strict', [[np.inf, np.inf], [30, 20]]).tolist() == pytest.approx(
        [11 / 13, 11 / 12]
    )
    assert box_metrics(predicted, truth, 'strict', sizes)['IoUmean_boxed'] == pytest.approx(1100 / 12)
    assert clip_boxes([[-3, 1, 40, 25], [35, 25, 50, 30]], [[30, 20]] * 2).tolist() == [
        [0, 1, 30, 20],
        [30, 20, 30, 20],
    ]


def test_a_box_outside_the_picture_is_no_empty_one():
    assert box_scores([[31, 0, 40, 10]], [[0, 0, 0, 0]], 'strict', [[30, 20]]).tolist() == [0]


def test_metrics_under_each_rule():
    truth = [[0, 0, 0, 0], [1, 1, 5, 5]]
    raw = [[1, 1, 2, 2], [1, 1, 5, 5]]
    found = box_metrics(raw, truth, by_rule=dict(coord=raw, type=[[0, 0, 0, 0], raw[1]]))
    four = ['IoUmean', 'IoU50', 'IoU75', 'IoUmean_boxed']
    assert list(found) == four + [f'{name}/coord_rule' for name in four] + [f'{name}/type_rule' for name in four]
    assert list(found.values()) == 2 * [50, 50, 50, 100] + [100, 100, 100, 100]


def test_set_without_a_box_warns():
    with pytest.warns(UserWarning, match='no row has a true box'):
        found = box_metrics([[0, 0, 0, 0]], [[0, 0, 0, 0]])
    assert found == dict(IoUmean=100, IoU50=100, IoU75=100, IoUmean_boxed=0)


def test_no_box_anywhere_on_the_real_validation_set():
    if not ANNOTATIONS.is_dir():
        pytest.skip(f'the public DGM4 annotations are not at {ANNOTATIONS}')
    records = json.loads((ANNOTATIONS / 'val.json').read_text())
    truth = np.array([record['fake_image_box'] or [0, 0, 0, 0] for record in records])
    assert round(box_metrics(np.zeros_like(truth), truth)['IoUmean'], 4) == 46.4069
    # 10,192 of 22,126 rows have no box; 76 boxes touch the left edge.
    assert box_metrics(np.zeros_like(truth), truth, 'strict')['IoUmean'] == pytest.approx(100 * 10192 / 22126)


def test_token_metrics_are_micro():
    # Row F1s are 40 and 100; summed counts give P = 3/4, R = 3/5.
    assert token_metrics([[1, 2, 3], [2, 2, 2]]) == pytest.approx(dict(Precision=75, Recall=60, F1=200 / 3))
    assert token_metrics([[0, 0, 3]]) == dict(Precision=0, Recall=0, F1=0)
    with pytest.warns(UserWarning, match='no token is manipulated'):
        assert token_metrics([[0, 2, 0]]) == dict(Precision=0, Recall=0, F1=0)


def test_manipulation_breakdown_by_hand():
    found = manipulation_breakdown(
        ['orig', 'text_swap', 'orig'], [0.6, 0.9, 0.5], [1.0, 0.0, 0.5], [[0, 1, 0], [1, 1, 3], [0, 0, 0]]
    )
    assert found == dict(
        orig=dict(samples=2, detection_rate=50, IoUmean=75, F1=None),
        text_swap=dict(samples=1, detection_rate=100, IoUmean=0, F1=50),
    )


def test_order_of_rows_does_not_show():
    rng = np.random.default_rng(0)
    n = 2000
    scores, labels = rng.random(n).round(2), rng.random(n) < 0.6
    types, type_labels = rng.normal(size=(n, 4)).round(1), rng.random((n, 4)) < 0.3
    corner = rng.random((2, n, 2)) * 50
    boxes, truth = (np.concatenate([c, c + rng.random((n, 2)) * 50 + 1], axis=1) for c in corner)
    for _ in range(10):
        order = rng.permutation(n)
        # Equal to the last bit, also with ties.
        assert binary_metrics(scores, labels) == binary_metrics(scores[order], labels[order])
        assert type_metrics(types, type_labels) == type_metrics(types[order], type_labels[order])
        assert box_metrics(boxes, truth) == box_metrics(boxes[order], truth[order])
