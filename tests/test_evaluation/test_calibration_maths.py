"""What a score is worth: temperatures, errors, limits and verdicts against numbers made by hand."""

import math

import numpy as np
import pytest

from mmvlforge.evaluation.calibration import (
    expected_calibration_error,
    fit_calibration,
    fit_temperature,
    log_odds,
    rate_limit,
    reliability_bins,
    scaled,
    share,
    verdict_of,
)


def test_the_temperature_is_that_of_scores_that_were_sharpened():
    """Labels drawn by the true log-odds, of which the model says three times as much."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-true))
    assert fit_temperature(3 * true, labels) == pytest.approx(3, rel=0.05)
    assert fit_temperature(true / 3, labels) == pytest.approx(1 / 3, rel=0.05)


def test_the_temperature_has_the_largest_likelihood():
    logits, labels = np.array([2.0, 1.5, -0.5, 0.3, -3.0, -1.0]), np.array([1, 0, 1, 1, 0, 0], bool)
    targets = np.where(labels, 4 / 5, 1 / 5)  # Platt's, of three of each

    def loss(temperature):
        p = 1 / (1 + np.exp(-logits / temperature))
        return -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum()

    best = fit_temperature(logits, labels)
    assert loss(best) < min(loss(best * 1.01), loss(best / 1.01))


def test_classes_that_separate_wholly_have_a_temperature():
    """Without smoothed targets it would be 0: log-odds of 5 stand for 11/12."""
    labels = np.arange(20) < 10
    found = fit_temperature(np.where(labels, 5.0, -5.0), labels)
    assert found == pytest.approx(5 / math.log(11), rel=1e-4)


@pytest.mark.parametrize(
    ('logits', 'labels', 'told'),
    [
        ([1.0, 2.0], [True, True], '2 pairs of the class and 0 others: a temperature needs both'),
        ([], [], '0 pairs of the class and 0 others'),
        ([1.0, np.nan], [True, False], 'log-odds hold NaN or infinity'),
    ],
)
def test_what_no_temperature_can_be_fitted_to(logits, labels, told):
    with pytest.raises(ValueError, match=told):
        fit_temperature(np.array(logits), np.array(labels, bool))


def test_log_odds_end_where_float32_does():
    assert log_odds(np.array([0.0, 0.5, 0.75, 1.0])) == pytest.approx([-16, 0, math.log(3), 16])
    assert scaled(log_odds(0.2), 1.0) == pytest.approx(0.2)
    assert scaled(np.array([-1e6, 1e6]), 0.01) == pytest.approx([0, 1])


def test_the_calibration_error_by_hand():
    scores = np.array([0.05, 0.15, 0.15, 0.95, 1.0])
    labels = np.array([0, 1, 0, 1, 1], bool)
    # |0.05 - 0| + |0.3 - 1| + |1.95 - 2|, over 5
    found = expected_calibration_error(scores, labels)
    assert found.value == pytest.approx(0.8 / 5)
    assert found.low <= found.value <= found.high
    first, second, *_, last = reliability_bins(scores, labels)
    assert tuple(first) == (0.0, 0.1, 1, 0, 0.05) and tuple(second) == (0.1, 0.2, 2, 1, 0.15)
    assert last.pairs == 2 and last.mean == pytest.approx(0.975)
    assert reliability_bins(scores, labels)[5] == (0.5, 0.6, 0, 0, 0.55)


def test_the_interval_holds_what_a_larger_set_says():
    """Scores that say 0.9 where 7 in 10 are fake."""
    scores, labels = np.full(400, 0.9), np.arange(400) % 10 < 7
    found = expected_calibration_error(scores, labels)
    # four deviations of a share of 0.7 of 400
    assert found.low < 0.2 < found.high and found.high - found.low == pytest.approx(4 * 0.0229, rel=0.1)
    assert found == expected_calibration_error(scores, labels) != expected_calibration_error(scores, labels, seed=1)


def test_wilson_intervals():
    assert share(0, 10) == pytest.approx((0, 0, 0.2775), abs=1e-4)
    assert share(10, 10) == pytest.approx((1, 0.7225, 1), abs=1e-4)
    assert share(50, 100) == pytest.approx((0.5, 0.4038, 0.5962), abs=1e-4)


def test_a_limit_keeps_its_promise_for_others():
    """Of sets of 39 and a rate of 0.05 the 38th smallest: on average 2 in 40 new ones lie above."""
    rng = np.random.default_rng(0)
    assert rate_limit(np.arange(39.0), 0.05) == 37
    above = [1 - rate_limit(rng.random(39), 0.05) for _ in range(4000)]  # of uniform scores
    assert np.mean(above) == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize(
    ('num', 'rate', 'told'),
    [
        (18, 0.05, '18 pairs are too few for a rate of 0.05; it needs 19 of each kind'),
        (18, 0.0, 'a rate of 0.0 must be above 0 and at most 0.5'),
        (18, 0.6, 'a rate of 0.6 must be'),
    ],
)
def test_rates_that_cannot_be_had(num, rate, told):
    with pytest.raises(ValueError, match=told):
        rate_limit(np.zeros(num), rate)


def known_set(num=200, spread=2.0):
    rng = np.random.default_rng(1)
    labels = np.arange(num) % 2 == 0
    logits = rng.normal(np.where(labels, 1.0, -1.0), spread)
    return 1 / (1 + np.exp(-logits)), labels, logits


def test_limits_of_a_set():
    scores, labels, logits = known_set()
    found = fit_calibration(scores, labels, dict(kind=(logits, labels), none=(logits, labels & False)), 0.1)
    fitted = scaled(logits, found.temperature)
    # ceil(101 * 0.9) = 91st of 100 real ones
    assert found.threshold == pytest.approx(np.sort(fitted[~labels])[90])
    assert found.lower == pytest.approx(np.sort(fitted[labels])[9])
    assert found.lower < 0.5 < found.threshold
    assert found.threshold_interval[0] <= found.threshold <= found.threshold_interval[1]
    assert found.false_alarms == share(9, 100) and found.misses == share(9, 100)
    inside = sum(verdict_of(score, found.lower, found.threshold) == 'inconclusive' for score in fitted)
    assert found.inconclusive == share(inside, 200) and inside > 0
    assert found.type_temperatures == {'kind': found.temperature}  # a type that no pair has is not calibrated
    assert found.scale_type('none', 1.0) == pytest.approx(1 / (1 + math.exp(-1)))
    assert found.scale(scores[0]) == pytest.approx(fitted[0])
    assert sum(found_bin.pairs for found_bin in found.bins) == 200
    assert found.bin_of(1.0) is found.bins[9] and found.bin_of(0.25) is found.bins[2]


def test_verdicts_of_classes_far_apart_do_not_contradict_their_scores():
    """Nine real pairs in ten lie far below 0.5: a threshold there would call fake what is likelier real."""
    scores, labels, logits = known_set(spread=0.2)
    found = fit_calibration(scores, labels, {}, 0.1)
    assert found.lower == found.threshold == 0.5 and found.false_alarms.value == 0
    assert found.threshold_interval == (0.5, 0.5)


def test_verdicts():
    assert [verdict_of(score, 0.3, 0.7) for score in (0.29, 0.3, 0.5, 0.7, 0.71)] == [
        *('real', 'inconclusive', 'inconclusive', 'inconclusive', 'fake'),
    ]
    assert [verdict_of(score) for score in (0.49, 0.5, 0.51)] == ['real', 'real', 'fake']
