"""How far an input lies from what a model has seen."""

import numpy as np
import pytest

from mmvlforge.evaluation.familiarity import fit_familiarity


def draw(num, seed, spread=(1.0, 3.0, 0.1)):
    """Correlated features in units of their own."""
    z = np.random.default_rng(seed).normal(size=(num, 3))
    return (z @ np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.5], [0.0, 0.0, 1.0]])) * spread + (5.0, -2.0, 0.0)


def test_the_distance_is_mahalanobis_over_the_limit():
    known, held_out = draw(500, 0), draw(400, 1)
    fitted = fit_familiarity(known, held_out, rate=0.05, shrinkage=0.0)
    inverse = np.linalg.inv(np.cov(known.T, bias=True))

    def by_hand(x):
        z = x - known.mean(0)
        return np.sqrt(np.einsum('ni,ij,nj->n', z, inverse, z))

    np.testing.assert_allclose(fitted.distances(draw(50, 2)) * fitted.limit, by_hand(draw(50, 2)), rtol=1e-9)
    assert fitted.limit == pytest.approx(np.quantile(by_hand(held_out), 0.95))
    assert (fitted.distances(held_out) > 1).mean() == 0.05


def test_what_breaks_the_correlation_is_far_though_each_value_is_usual():
    fitted = fit_familiarity(draw(2000, 0), draw(500, 1))
    usual = draw(2000, 0)
    usual = usual[np.abs(usual - usual.mean(0))[:, :2].min(1) > (1.0 * 1.2, 3.0 * 1.2)[0]]
    mixed = np.column_stack([usual[:, 0], 2 * usual[:, 1].mean() - usual[:, 1], usual[:, 2]])
    assert np.median(fitted.distances(mixed)) > 2 * np.median(fitted.distances(usual))


def test_fewer_inputs_than_features_and_one_that_never_changes():
    known = np.column_stack([np.random.default_rng(0).normal(size=(220, 300)), np.full(220, 7.0)])
    fitted = fit_familiarity(known, known)
    assert np.isfinite(fitted.distances(known)).all()
    other = known[:1].copy()
    other[0, -1] = 9.0
    assert fitted.distances(other) > fitted.distances(known[:1])


@pytest.mark.parametrize(
    ('known', 'held_out', 'rate', 'told'),
    [
        (draw(199, 0), draw(300, 1), 0.01, 'features: 199 inputs are too few to know the farthest 1.0% of them'),
        (draw(300, 0), draw(19, 1), 0.1, 'held_out: 19 inputs are too few to know the farthest 10.0%'),
        (draw(300, 0), np.full((300, 3), np.nan), 0.01, 'held_out: hold NaN'),
        (np.ones((300, 3)), np.ones((300, 3)), 0.01, 'all inputs are alike'),
        (draw(300, 0), draw(300, 1), 1.0, 'rate must be between 0 and 1, got 1.0'),
    ],
)
def test_what_cannot_be_fitted(known, held_out, rate, told):
    with pytest.raises(ValueError, match=told):
        fit_familiarity(known, held_out, rate)
