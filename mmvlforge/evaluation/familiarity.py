"""Is an input like those that a model learnt from? Distance in the space of its features.

The Mahalanobis distance of Lee et al. ("A Simple Unified Framework for Detecting Out-of-Distribution Samples and
Adversarial Attacks", NeurIPS 2018), of one Gaussian over all classes: what is asked is whether the input belongs to the
training set's world, not to which class of it.
"""

import math
from typing import NamedTuple

import numpy as np

__all__ = ['Familiarity', 'fit_familiarity']


class Familiarity(NamedTuple):
    """A Gaussian of features, and how far from it is too far.

    D features.

    Attributes:
        mean: Mean of each feature ``(D,)``.
        scale: Deviation of each ``(D,)``; 1 where it never changes.
        factor: L with L Lᵀ = the inverse of the scaled features' covariance ``(D, D)``.
        limit: Largest distance of a familiar input.
    """

    mean: np.ndarray
    scale: np.ndarray
    factor: np.ndarray
    limit: float

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Distance of each input over the limit, float64 ``(N,)``: unfamiliar above 1.

        Args:
            features: Their features ``(N, D)``.
        """
        return _distances(features, self.mean, self.scale, self.factor) / self.limit


def fit_familiarity(
    features: np.ndarray, held_out: np.ndarray, rate: float = 0.01, shrinkage: float = 0.01
) -> Familiarity:
    """Fit the Gaussian to some inputs, and the limit to others, for which it is as blind as for new ones.

    Args:
        features: Features of training inputs ``(N, D)``.
        held_out: Features of inputs of the same kind that are not among these ``(M, D)``.
        rate: Share of the latter that is to be unfamiliar.
        shrinkage: Added to each eigenvalue of the correlation, whose sum is D: with fewer inputs than features some
            would be 0.

    Raises:
        ValueError: Too few inputs, features that are not finite, or ``rate`` out of range.

    Example:
        >>> line = np.linspace(-1, 1, 101)[:, None]
        >>> fit_familiarity(line, line, rate=0.1).distances(np.array([[0.0], [0.9], [3.0]])).round(1)
        array([0. , 1. , 3.3])
    """
    if not 0 < rate < 1:
        raise ValueError(f'rate must be between 0 and 1, got {rate}')
    for name, array in (('features', features), ('held_out', held_out)):
        if len(array) < 2 / rate:
            raise ValueError(
                f'{name}: {len(array)} inputs are too few to know the farthest {rate:.1%} of them; '
                f'it needs {math.ceil(2 / rate)}'
            )
        if not np.isfinite(array).all():
            raise ValueError(f'{name}: hold NaN or infinity')
    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale = np.where(scale > 1e-6 * np.abs(mean) + 1e-12, scale, 1.0)
    scaled = (features - mean) / scale
    covariance = scaled.T @ scaled / len(scaled) + shrinkage * np.eye(len(mean))
    factor = np.linalg.cholesky(np.linalg.inv(covariance))
    limit = float(np.quantile(_distances(held_out, mean, scale, factor), 1 - rate))
    if not limit > 0:
        raise ValueError('held_out: all inputs are alike: nothing can be told from them')
    return Familiarity(mean, scale, factor, limit)


def _distances(features: np.ndarray, mean: np.ndarray, scale: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return np.linalg.norm(((features - mean) / scale) @ factor, axis=1)
