"""The maths of every metric: numpy arrays in, numbers out. No files, no framework.

Legend: N rows of the test set, T manipulation types. Rates and scores are in percent, overlaps (IoU) in [0, 1].
Arithmetic is float64 and no result depends on the order of the rows.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    'PROTOCOLS',
    'average_precision',
    'binary_metrics',
    'box_iou',
    'box_metrics',
    'box_scores',
    'clip_boxes',
    'manipulation_breakdown',
    'roc_points',
    'token_metrics',
    'type_breakdown',
    'type_metrics',
]

PROTOCOLS = ('dgm4', 'strict')


def _finite(given: ArrayLike, what: str) -> np.ndarray:
    values = np.asarray(given, dtype=np.float64)
    if len(values) == 0:
        raise ValueError(f'{what}: no rows to score')
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if bad.size:
        raise ValueError(f'{what}: row {bad[0]} holds {values[bad[0]]}, must be finite ({bad.size} such rows)')
    return values


def _ratio(part: float, whole: float) -> float:
    """Part of a whole in percent; 0 of nothing is 0."""
    return 100.0 * float(part) / float(whole) if whole else 0.0


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


def _ties(sorted_scores: np.ndarray) -> np.ndarray:
    """Number of rows up to and with each run of equal scores."""
    return np.flatnonzero(np.append(sorted_scores[1:] != sorted_scores[:-1], True)) + 1


def roc_points(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positives at every threshold, from (0, 0) to (negatives, positives).

    Equal scores cross the threshold together, so they make one sloped piece of the curve.

    Args:
        scores: Higher means more likely positive, ``(N,)``.
        labels: True for positives, ``(N,)``.
    """
    order = np.argsort(-scores, kind='stable')
    ends = _ties(scores[order])
    positives = np.append(0, np.cumsum(labels[order])[ends - 1])
    return np.append(0, ends) - positives, positives


def binary_metrics(scores: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """AUC, EER and ACC of real against fake.

    AUC is the area under the piecewise linear ROC curve. EER is the x with 1 - x = tpr(x), solved on the piece that
    holds it. ACC counts a row as fake if its score is above 0.5. With one class only, AUC and EER do not exist: both
    become 50, which is chance, with a warning.

    Args:
        scores: P(fake), ``(N,)``.
        labels: True for fake, ``(N,)``.
    """
    scores, labels = _finite(scores, 'fake score'), np.asarray(labels, dtype=bool)
    accuracy = _ratio(np.sum((scores > 0.5) == labels), len(labels))
    if labels.all() or not labels.any():
        kind = 'fake' if labels.all() else 'real'
        warnings.warn(f'all {len(labels)} rows are {kind}: AUC and EER are set to 50 (chance)', stacklevel=2)
        return dict(AUC=50.0, EER=50.0, ACC=accuracy)
    fp, tp = roc_points(scores, labels)
    # Twice the area in integers: exact.
    auc = _ratio(np.sum(np.diff(fp) * (tp[1:] + tp[:-1])), 2 * fp[-1] * tp[-1])
    fpr, tpr = fp / fp[-1], tp / tp[-1]
    # fpr + tpr - 1 rises strictly from -1 to 1 from point to point; the EER is where it crosses 0.
    gap = fpr + tpr - 1
    right = int(np.argmax(gap >= 0))
    share = -gap[right - 1] / (gap[right] - gap[right - 1])
    eer = 100.0 * float(fpr[right - 1] + share * (fpr[right] - fpr[right - 1]))
    return dict(AUC=auc, EER=eer, ACC=accuracy)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Mean over the positives of (positives so far / rank), in descending score order.

    Rows of equal score have no order; the result is the mean over all their orders. With k hits among n equal scores
    after b positives and r rows, place j = 0 … n-1 holds a hit with chance k/n, and then on average
    1 + b + j (k-1)/(n-1) positives lie in the first r + j + 1 rows.

    Args:
        scores: Higher means more likely positive, ``(N,)``.
        labels: True for positives, ``(N,)``.

    Raises:
        ValueError: No positive row.
    """
    scores, labels = _finite(scores, 'type score'), np.asarray(labels, dtype=bool)
    if not labels.any():
        raise ValueError('average precision needs at least one positive row')
    order = np.argsort(-scores, kind='stable')
    ends = _ties(scores[order])
    sizes = np.diff(ends, prepend=0)
    positives = np.cumsum(labels[order])[ends - 1]
    hits = np.diff(positives, prepend=0)

    rank = np.arange(1, len(scores) + 1)
    place = rank - 1 - np.repeat(ends - sizes, sizes)
    before = np.repeat(positives - hits, sizes)
    precision = (1 + before + place * np.repeat((hits - 1) / np.maximum(sizes - 1, 1), sizes)) / rank
    return 100.0 * float(np.sum(np.repeat(hits / sizes, sizes) * precision)) / int(positives[-1])


def _type_counts(scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, ...]:
    scores, labels = _finite(scores, 'type scores'), np.asarray(labels, dtype=bool)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(f'type scores {scores.shape} and labels {labels.shape} must both be (rows, types)')
    predicted = scores >= 0
    return scores, labels, (predicted & labels).sum(0), predicted.sum(0), labels.sum(0)


def type_metrics(scores: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """mAP, CF1 and OF1 of the manipulation types.

    A type is predicted where its log-odds is at least 0. With Nc correct, Np predicted and Ng true rows of a type:
    OP = ΣNc/ΣNp, OR = ΣNc/ΣNg; CP = mean(Nc/max(Np, 1)), CR = mean(Nc/Ng); OF1 and CF1 are the harmonic means of OP,
    OR and of CP, CR. mAP is the mean of :func:`average_precision`. A type without a true row has no AP and no recall:
    it is left out of mAP, CP and CR, with a warning. Nothing predicted gives CF1 = OF1 = 0.

    Args:
        scores: Log-odds, ``(N, T)``.
        labels: True where the row has the type, ``(N, T)``.
    """
    scores, labels, correct, predicted, positives = _type_counts(scores, labels)
    present = np.flatnonzero(positives)
    if len(present) < len(positives):
        absent = np.flatnonzero(positives == 0).tolist()
        warnings.warn(f'no row has manipulation type {absent} (0-based): left out of mAP and CF1', stacklevel=2)
    if not present.size:
        return dict(mAP=0.0, CF1=0.0, OF1=0.0)
    precision = 100 * np.mean(correct[present] / np.maximum(predicted[present], 1))
    recall = 100 * np.mean(correct[present] / positives[present])
    return dict(
        mAP=float(np.mean([average_precision(scores[:, k], labels[:, k]) for k in present])),
        CF1=_harmonic(float(precision), float(recall)),
        OF1=_harmonic(_ratio(correct.sum(), predicted.sum()), _ratio(correct.sum(), positives.sum())),
    )


def type_breakdown(scores: ArrayLike, labels: ArrayLike, names: Sequence[str]) -> dict[str, dict]:
    """Rows, AP, precision, recall and F1 of each type; AP, recall and F1 are None for a type without rows.

    Args:
        scores: Log-odds, ``(N, T)``.
        labels: True where the row has the type, ``(N, T)``.
        names: The T types.
    """
    scores, labels, correct, predicted, positives = _type_counts(scores, labels)
    table = {}
    for k, name in enumerate(names):
        precision = _ratio(correct[k], predicted[k])
        found: dict[str, float | None]
        if positives[k]:
            recall = _ratio(correct[k], positives[k])
            found = dict(
                AP=average_precision(scores[:, k], labels[:, k]),
                Precision=precision,
                Recall=recall,
                F1=_harmonic(precision, recall),
            )
        else:
            found = dict(AP=None, Precision=precision, Recall=None, F1=None)
        table[name] = dict(samples=int(positives[k]), **found)
    return table


def _has_box(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 2] > boxes[:, 0]


def box_iou(predicted: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Overlap of row i of one set with row i of the other, ``(N,)``; 0 where either has no area.

    Args:
        predicted: xyxy, ``(N, 4)``.
        truth: xyxy in the same unit, ``(N, 4)``.
    """
    a, b = _finite(predicted, 'predicted box'), _finite(truth, 'true box')
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    union = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - shared
    return np.divide(shared, union, out=np.zeros(len(a)), where=union > 0)


def clip_boxes(boxes: ArrayLike, sizes: ArrayLike) -> np.ndarray:
    """The part of each box that lies inside its picture, without area if none does, ``(N, 4)``.

    Args:
        boxes: xyxy, pixels, ``(N, 4)``.
        sizes: Width and height of each picture, ``(N, 2)``; inf where unknown, which leaves the box as it is.
    """
    boxes, limits = np.asarray(boxes, dtype=np.float64), np.tile(np.asarray(sizes, dtype=np.float64), 2)
    return np.where(np.isfinite(limits), np.clip(boxes, 0, limits), boxes)


def _overlaps(predicted: ArrayLike, truth: ArrayLike, protocol: str, sizes: ArrayLike | None) -> np.ndarray:
    if protocol not in PROTOCOLS:
        raise ValueError(f'protocol {protocol!r} is unknown; choose one of {PROTOCOLS}')
    if protocol == 'strict' and sizes is not None:
        predicted, truth = clip_boxes(predicted, sizes), clip_boxes(truth, sizes)
    return box_iou(predicted, truth)


def box_scores(
    predicted: ArrayLike, truth: ArrayLike, protocol: str = 'dgm4', sizes: ArrayLike | None = None
) -> np.ndarray:
    """Score of each row in [0, 1]: the overlap, or 1 for a row rightly left without a box.

    ``'strict'``: a row without a true box scores 1 iff no box is predicted, and of either box only the part inside the
    picture counts. ``'dgm4'`` does as the published code does: it takes a row for empty if x1 of the truth is 0, so a
    true box at the left edge also scores 1 for "no box", and it takes both boxes as they are.

    Args:
        predicted: xyxy, ``(N, 4)``, zeros for "no box".
        truth: xyxy, ``(N, 4)``, zeros for "no box".
        protocol: ``'dgm4'`` or ``'strict'``.
        sizes: Of the pictures, see :func:`clip_boxes`; None knows none.
    """
    scores = _overlaps(predicted, truth, protocol, sizes)
    # Whether a box is predicted is not asked of the cut one: outside the picture is not "no box".
    predicted, truth = np.asarray(predicted, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    empty = truth[:, 0] == 0 if protocol == 'dgm4' else ~_has_box(truth)
    scores[empty & ~_has_box(predicted)] = 1.0
    return scores


def box_metrics(
    predicted: ArrayLike,
    truth: ArrayLike,
    protocol: str = 'dgm4',
    sizes: ArrayLike | None = None,
    by_rule: Mapping[str, ArrayLike] | None = None,
) -> dict[str, float]:
    """IoUmean, IoU50, IoU75 over all rows, and IoUmean_boxed.

    IoU50 and IoU75 count scores strictly above 0.5 and 0.75. IoUmean_boxed is the mean overlap over the rows that do
    have a true box, without the quirk of ``'dgm4'``; 0 with a warning if no row has one.

    Args:
        predicted: xyxy, ``(N, 4)``, zeros for "no box".
        truth: xyxy, ``(N, 4)``, zeros for "no box".
        protocol: See :func:`box_scores`.
        sizes: Likewise.
        by_rule: Name of a rule for "no box" → what ``predicted`` is under it. Each adds the same metrics, named
            ``IoUmean/<rule>_rule`` and so on.
    """
    metrics = _box_metrics(predicted, truth, protocol, sizes)
    if not _has_box(np.asarray(truth, dtype=np.float64)).any():
        warnings.warn('no row has a true box: IoUmean_boxed is set to 0', stacklevel=2)
    for rule, boxes in (by_rule or {}).items():
        found = _box_metrics(boxes, truth, protocol, sizes)
        metrics.update({f'{name}/{rule}_rule': value for name, value in found.items()})
    return metrics


def _box_metrics(predicted: ArrayLike, truth: ArrayLike, protocol: str, sizes: ArrayLike | None) -> dict[str, float]:
    scores = box_scores(predicted, truth, protocol, sizes)
    boxed = _overlaps(predicted, truth, protocol, sizes)[_has_box(np.asarray(truth, dtype=np.float64))]
    return dict(
        # fsum rounds once, so the order of the rows cannot show in the last digit.
        IoUmean=_ratio(math.fsum(scores), len(scores)),
        IoU50=_ratio(np.count_nonzero(scores > 0.5), len(scores)),
        IoU75=_ratio(np.count_nonzero(scores > 0.75), len(scores)),
        IoUmean_boxed=_ratio(math.fsum(boxed), len(boxed)),
    )


def _token_scores(counts: np.ndarray) -> dict[str, float]:
    correct, predicted, positives = counts.sum(0)
    precision, recall = _ratio(correct, predicted), _ratio(correct, positives)
    return dict(Precision=precision, Recall=recall, F1=_harmonic(precision, recall))


def token_metrics(counts: ArrayLike) -> dict[str, float]:
    """Micro precision, recall and F1 of manipulated tokens, summed over all rows before dividing.

    Nothing predicted gives precision 0. No manipulated token in the whole set gives recall 0 with a warning.

    Args:
        counts: Tokens rightly held for manipulated, all held for manipulated, all that are, ``(N, 3)``.
    """
    counts = np.asarray(counts, dtype=np.int64).reshape(-1, 3)
    if not len(counts):
        raise ValueError('tokens: no rows to score')
    if not counts[:, 2].any():
        warnings.warn('no token is manipulated: Recall and F1 are set to 0', stacklevel=2)
    return _token_scores(counts)


def manipulation_breakdown(
    classes: Sequence[str], fake_scores: ArrayLike, row_scores: ArrayLike | None, counts: ArrayLike | None
) -> dict[str, dict[str, float | None]]:
    """What a model makes of each kind of manipulation, sorted by name.

    ``detection_rate`` is the share of rows called fake (for unmanipulated rows: of false alarms). ``F1`` is the micro
    token F1 within the kind, None where the kind has no manipulated token.

    Args:
        classes: Name of each row's manipulation (``fake_cls``), ``(N,)``.
        fake_scores: P(fake), ``(N,)``.
        row_scores: From :func:`box_scores`, ``(N,)``; None, where boxes are not judged, makes ``IoUmean`` None.
        counts: As for :func:`token_metrics`, ``(N, 3)``; None, where words are not judged, makes ``F1`` None.
    """
    names, fake_scores = np.asarray(classes), np.asarray(fake_scores, dtype=np.float64)
    row_scores = None if row_scores is None else np.asarray(row_scores)
    counts = np.zeros((len(names), 3), np.int64) if counts is None else np.asarray(counts, dtype=np.int64)
    table = {}
    for name in np.unique(names):
        rows = names == name
        table[str(name)] = dict(
            samples=int(rows.sum()),
            detection_rate=_ratio(np.sum(fake_scores[rows] > 0.5), rows.sum()),
            IoUmean=None if row_scores is None else _ratio(math.fsum(row_scores[rows]), rows.sum()),
            F1=_token_scores(counts[rows])['F1'] if counts[rows, 2].any() else None,
        )
    return table
