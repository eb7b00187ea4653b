"""What a score is worth: temperature scaling, calibration error, thresholds for a rate of false alarms.

A detector's P(fake) ranks pairs; whether 0.8 means that 8 of 10 such pairs are fake has to be learnt from pairs that it
was not trained on. Temperature scaling divides the log-odds by one number (Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017): the ranking stays. Its smoothed targets are those of Platt ("Probabilistic Outputs for Support
Vector Machines", 1999), without which the best temperature of classes that separate wholly would be 0.

N pairs; a score is P(fake) in [0, 1], a label is true for a fake.
"""

import math
from typing import NamedTuple

import numpy as np

__all__ = [
    'Bin',
    'Calibration',
    'Rate',
    'expected_calibration_error',
    'fit_calibration',
    'fit_temperature',
    'log_odds',
    'rate_limit',
    'reliability_bins',
    'scaled',
    'share',
    'verdict_of',
]

NUM_BINS = 10
_LARGEST = 16.0  # log-odds; float32 knows no probability between 1 - e^-16.6 and 1
_Z = 1.959964  # 95 % of a normal distribution lie within so many deviations


class Rate(NamedTuple):
    """A share with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Bin(NamedTuple):
    """Pairs with scores from ``low`` to ``high``: how many they are, how many of them fake, and their mean score."""

    low: float
    high: float
    pairs: int
    fake: int
    mean: float


class Calibration(NamedTuple):
    """What was learnt from a validation set. All but the temperatures is in calibrated scores.

    Attributes:
        temperature: Of P(fake).
        type_temperatures: Of each manipulation type of which the set had some, but was not full.
        threshold: A pair above it is called fake; at least 0.5.
        lower: A pair below it is called real; at most 0.5. What lies from here to the threshold is inconclusive.
        threshold_interval: 95 % bootstrap interval of ``threshold``.
        false_alarms: Share of real pairs above the threshold.
        misses: Share of fake pairs below ``lower``.
        inconclusive: Share of all pairs between.
        error_before: Expected calibration error of the raw scores.
        error_after: Of the calibrated ones; on the pairs that the temperature was fitted to.
        bins: Reliability of the calibrated scores.
    """

    temperature: float
    type_temperatures: dict[str, float]
    threshold: float
    lower: float
    threshold_interval: tuple[float, float]
    false_alarms: Rate
    misses: Rate
    inconclusive: Rate
    error_before: Rate
    error_after: Rate
    bins: list[Bin]

    def scale(self, score: float) -> float:
        """P(fake), calibrated."""
        return float(scaled(log_odds(score), self.temperature))

    def scale_type(self, name: str, log_odds: float) -> float:
        """Probability of a manipulation type by its log-odds, calibrated if the type has a temperature."""
        return float(scaled(log_odds, self.type_temperatures.get(name, 1.0)))

    def bin_of(self, score: float) -> Bin:
        """The bin that a calibrated score falls into."""
        return self.bins[min(int(score * len(self.bins)), len(self.bins) - 1)]


def log_odds(scores: float | np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, within ±16: beyond that a float32 close to 1 tells nothing apart."""
    scores = np.asarray(scores, np.float64)
    with np.errstate(divide='ignore'):
        return np.clip(np.log(scores) - np.log1p(-scores), -_LARGEST, _LARGEST)


def scaled(logits: float | np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of log-odds over a temperature.

    Example:
        >>> scaled(np.array([-4.0, 0.0, 4.0]), 2.0).round(3)
        array([0.119, 0.5  , 0.881])
    """
    return 1 / (1 + np.exp(-np.clip(np.asarray(logits, np.float64) / temperature, -700, 700)))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the largest likelihood.

    It is found by halving: in the inverse of the temperature the likelihood is concave.

    Args:
        logits: Log-odds ``(N,)``.
        labels: Truth, bool ``(N,)``.

    Returns:
        Within 0.01 and 100, where the largest stands for scores that say nothing, or the contrary.

    Raises:
        ValueError: One class alone, or log-odds that are not finite.

    Example:
        >>> logits = np.repeat([-2.0, 2.0], 100)  # says 12 and 88 of 100, and 30 and 70 are fake
        >>> labels = np.concatenate([np.arange(100) < 30, np.arange(100) < 70])
        >>> round(fit_temperature(logits, labels), 2)
        2.41
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, bool)
    if not np.isfinite(logits).all():
        raise ValueError('log-odds hold NaN or infinity')
    fakes = int(labels.sum())
    reals = len(labels) - fakes
    if not fakes or not reals:
        raise ValueError(f'{fakes} pairs of the class and {reals} others: a temperature needs both')
    targets = np.where(labels, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    low, high = math.log(0.01), math.log(100)
    while high - low > 1e-6:
        inverse = (low + high) / 2
        slope = (logits * (targets - scaled(logits * math.exp(inverse), 1))).sum()
        low, high = (inverse, high) if slope > 0 else (low, inverse)
    return math.exp(-(low + high) / 2)


def reliability_bins(scores: np.ndarray, labels: np.ndarray, num: int = NUM_BINS) -> list[Bin]:
    """Pairs by score, in bins of equal width.

    Args:
        scores: ``(N,)``.
        labels: ``(N,)``.
        num: How many bins; an empty one has the mean of its borders.
    """
    pairs, fakes, sums = _bin_counts(np.asarray(scores, np.float64), np.asarray(labels, bool), num)
    return [
        Bin(row / num, (row + 1) / num, int(count), int(fake), float(total / count) if count else (row + 0.5) / num)
        for row, (count, fake, total) in enumerate(zip(pairs, fakes, sums))
    ]


def _bin_counts(scores: np.ndarray, labels: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.minimum((scores * num).astype(int), num - 1)
    return (
        np.bincount(rows, minlength=num),
        np.bincount(rows, labels, minlength=num),
        np.bincount(rows, scores, minlength=num),
    )


def expected_calibration_error(
    scores: np.ndarray, labels: np.ndarray, num: int = NUM_BINS, repeats: int = 1000, seed: int = 0
) -> Rate:
    """Mean distance, over pairs, of a bin's mean score from its share of fakes, with a bootstrap interval.

    It cannot be negative: of few pairs a perfect model's is above 0 too, and the interval, of redrawn pairs, lies a
    little high.

    Args:
        scores: ``(N,)``.
        labels: ``(N,)``.
        num: Bins of equal width.
        repeats: Times that the pairs are redrawn, with repetition.
        seed: Of the draw.

    Example:
        >>> scores, labels = np.repeat([0.25, 0.85], 4), np.array([0, 0, 0, 1, 1, 1, 1, 0])
        >>> round(expected_calibration_error(scores, labels).value, 3)  # half of |0.25 - 1/4|, half of |0.85 - 3/4|
        0.05
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels, bool)

    def error(picked: np.ndarray | slice) -> float:
        _, fakes, sums = _bin_counts(scores[picked], labels[picked], num)
        return float(np.abs(fakes - sums).sum() / len(scores))

    rng = np.random.default_rng(seed)
    redrawn = [error(rng.integers(len(scores), size=len(scores))) for _ in range(repeats)]
    low, high = np.quantile(redrawn, [0.025, 0.975])
    return Rate(error(slice(None)), float(low), float(high))


def share(count: int, total: int) -> Rate:
    """A share with Wilson's interval.

    Example:
        >>> [round(value, 3) for value in share(5, 100)]
        [0.05, 0.022, 0.112]
    """
    value, z = count / total, _Z**2 / total
    middle = (value + z / 2) / (1 + z)
    half = math.sqrt(z * (value * (1 - value) + z / 4)) / (1 + z)
    return Rate(value, max(middle - half, 0.0), min(middle + half, 1.0))


def rate_limit(scores: np.ndarray, rate: float) -> float:
    """A limit that a new score of the same kind exceeds with a probability of at most ``rate``.

    It is the k-th smallest score with k = ⌈(N + 1)(1 - rate)⌉, as in split conformal prediction: unlike the quantile of
    these scores, it keeps its promise for others, on average over sets like this one.

    Raises:
        ValueError: ``rate`` out of range, or too few scores for it.

    Example:
        >>> rate_limit(np.arange(1, 20) / 20, 0.1)
        0.9
    """
    if not 0 < rate <= 0.5:
        raise ValueError(f'a rate of {rate} must be above 0 and at most 0.5')
    rank = math.ceil(round((len(scores) + 1) * (1 - rate), 9))
    if rank > len(scores):
        raise ValueError(
            f'{len(scores)} pairs are too few for a rate of {rate:.3g}; it needs {math.ceil(1 / rate) - 1} of each kind'
        )
    return float(np.sort(scores)[rank - 1])


def fit_calibration(
    scores: np.ndarray,
    labels: np.ndarray,
    types: dict[str, tuple[np.ndarray, np.ndarray]],
    false_alarms: float = 0.05,
    seed: int = 0,
) -> Calibration:
    """Learn all of it from a validation set.

    A pair is called fake above a threshold that real pairs exceed at the chosen rate, and real below one that fakes
    undercut at the same rate. Neither verdict contradicts the score: the one is never below 0.5, the other never above.

    Args:
        scores: P(fake) as the model says it ``(N,)``.
        labels: Truth ``(N,)``.
        types: Name of each manipulation type → its log-odds and its truth, ``(N,)`` each; one that no pair has, or
            every pair, is left out.
        false_alarms: The rate, above 0 and at most 0.5.
        seed: Of the bootstrap.

    Raises:
        ValueError: Too few pairs of a kind, a rate out of range, or scores that are not finite.
    """
    labels = np.asarray(labels, bool)
    logits = log_odds(scores)
    temperature = fit_temperature(logits, labels)
    known = {name: (own, truth) for name, (own, truth) in types.items() if 0 < np.sum(truth) < len(labels)}
    fitted = scaled(logits, temperature)
    real, fake = fitted[~labels], fitted[labels]

    def limit(scores: np.ndarray) -> float:
        return max(rate_limit(scores, false_alarms), 0.5)

    threshold, lower = limit(real), 1 - limit(1 - fake)
    rng = np.random.default_rng(seed)
    redrawn = [limit(rng.choice(real, len(real))) for _ in range(1000)]
    low, high = np.quantile(redrawn, [0.025, 0.975])
    return Calibration(
        temperature,
        {name: fit_temperature(own, truth) for name, (own, truth) in known.items()},
        threshold,
        lower,
        (float(low), float(high)),
        share(int((real > threshold).sum()), len(real)),
        share(int((fake < lower).sum()), len(fake)),
        share(int(((fitted >= lower) & (fitted <= threshold)).sum()), len(fitted)),
        expected_calibration_error(scores, labels, seed=seed),
        expected_calibration_error(fitted, labels, seed=seed),
        reliability_bins(fitted, labels),
    )


def verdict_of(score: float, lower: float = 0.5, threshold: float = 0.5) -> str:
    """``'fake'`` above the threshold, ``'real'`` below the lower one, else ``'inconclusive'``.

    Where both are the same there is nothing between them, and what is not above is real.
    """
    if score > threshold:
        return 'fake'
    return 'real' if score < lower or lower == threshold else 'inconclusive'
