"""A test run of manipulation detection as one self-contained HTML page: numbers, counts and pictures."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmvlforge.annotations.json_files import read_json_object
from mmvlforge.datasets.nested_datasets import PictureLoader
from mmvlforge.datasets.transforms import LoadImage
from mmvlforge.evaluation.calibration import (
    Bin,
    Calibration,
    Rate,
    expected_calibration_error,
    log_odds,
    reliability_bins,
    scaled,
    share,
)
from mmvlforge.evaluation.samples import joined_sample, prediction_error
from mmvlforge.evaluation.scoring import JoinedRows
from mmvlforge.reports.page import Figure, Metric, figure, metric_groups, write_page
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import ManipulationVisualizer, blank_picture, load_picture

__all__ = ['METRICS', 'read_metrics', 'select_samples', 'write_report']

_VERDICT, _KIND, _PLACE, _WORDS = 'Real or fake', 'Kind of manipulation', 'Place in the picture', 'Words of the caption'
METRICS = {
    'AUC': Metric(_VERDICT, 'Area under the ROC curve', 'How well P(fake) ranks fake above real; 50 is guessing.'),
    'EER': Metric(_VERDICT, 'Equal error rate', 'Where misses and false alarms are equally frequent.', False),
    'ACC': Metric(_VERDICT, 'Accuracy', 'Share of pairs with the right verdict at P(fake) > 0.5.'),
    'mAP': Metric(_KIND, 'Mean average precision', 'How well type scores rank the pairs of each type.'),
    'CF1': Metric(_KIND, 'F1, mean of types', 'Balance of precision and recall, every type with the same weight.'),
    'OF1': Metric(_KIND, 'F1, all decisions', 'Balance of precision and recall, every decision with the same weight.'),
    'IoUmean': Metric(_PLACE, 'Mean overlap', 'With the true box; without a true box, 100 if none is found.'),
    'IoU50': Metric(_PLACE, 'Overlap above 50 %', 'Share of such pairs.'),
    'IoU75': Metric(_PLACE, 'Overlap above 75 %', 'Share of such pairs.'),
    'IoUmean_boxed': Metric(_PLACE, 'Mean overlap where there is a box', '"No box everywhere" gets 0 here.'),
    'IoUmean/coord_rule': Metric(_PLACE, 'Mean overlap, rule coord', 'No box: it has shrunk into the corner.'),
    'IoUmean/type_rule': Metric(_PLACE, 'Mean overlap, rule type', 'No box: the picture is held for real.'),
    'Precision': Metric(_WORDS, 'Precision', 'Of the tokens held for manipulated, how many are.'),
    'Recall': Metric(_WORDS, 'Recall', 'Of the manipulated tokens, how many were found.'),
    'F1': Metric(_WORDS, 'F1', 'Harmonic mean of the two.'),
}  # fmt: skip


class _ClassCount(NamedTuple):
    name: str
    pairs: int
    called: int


class _Reliability(NamedTuple):
    """Scores beside how often they are right: a chart, and the mean distance."""

    name: str
    bins: list[Bin]
    shares: list[Rate | None]
    error: Rate


class _TypeCount(NamedTuple):
    name: str
    pairs: int
    found: int
    alarms: int


def read_metrics(path: str | Path) -> dict[str, float | None]:
    """Read the known metrics of a JSON object, percent or null.

    Raises:
        ValueError: The file holds none of them, or a value is no number.
    """
    found = read_json_object(path)
    metrics = {name: found[name] for name in METRICS if name in found}
    if not metrics:
        raise ValueError(f'{path}: must be a JSON object with at least one of {", ".join(METRICS)}')
    for name, value in metrics.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not number:
            raise ValueError(f'{path}: {name} is {value!r}, must be a finite number or null')
    return metrics


def select_samples(classes: Sequence[str], errors: Sequence[float], num: int) -> dict[str, list[int]]:
    """Choose which samples to show, none twice.

    Args:
        classes: Name of each sample's class.
        errors: ``prediction_error`` of each sample.
        num: How many in all.

    Returns:
        Places in ``classes``: ``typical`` (of each class the sample with the middle error), ``worst`` (largest errors
        of all) and ``best`` (smallest errors, the classes by turns); the latter two share what ``typical`` leaves.
    """
    order = sorted(range(len(classes)), key=lambda i: (errors[i], i))
    by_class = {name: [i for i in order if classes[i] == name] for name, _ in Counter(classes).most_common()}
    typical = [rows[len(rows) // 2] for rows in by_class.values()][:num]
    left = [i for i in order if i not in set(typical)]
    rest = min(num - len(typical), len(left))
    worst = left[len(left) - (rest + 1) // 2 :][::-1]
    used = {*typical, *worst}
    free = [[i for i in rows if i not in used] for rows in by_class.values()]
    turns = [i for turn in itertools.zip_longest(*free) for i in turn if i is not None]
    best = turns[: rest - len(worst)]
    return dict(typical=typical, worst=worst, best=best)


def _readable(name: str) -> str:
    return name.replace('&', ' + ').replace('_', ' ')


def _count_classes(classes: Sequence[str], called: np.ndarray) -> list[_ClassCount]:
    counts, fakes = Counter(classes), Counter(itertools.compress(classes, called))
    return [_ClassCount(_readable(name), count, fakes[name]) for name, count in counts.most_common()]


def _count_types(rows: JoinedRows) -> list[_TypeCount]:
    if rows.type_scores is None:
        return []
    given, true = rows.type_scores >= 0, rows.true_types
    counts = (part.sum(axis=0).tolist() for part in (true, given & true, given & ~true))
    return [_TypeCount(_readable(name), *numbers) for name, *numbers in zip(rows.types, *counts)]


def _reliability(name: str, scores: np.ndarray, fake: np.ndarray) -> _Reliability:
    bins = reliability_bins(scores, fake)
    shares = [share(found.fake, found.pairs) if found.pairs else None for found in bins]
    return _Reliability(name, bins, shares, expected_calibration_error(scores, fake))


def _reached(scores: np.ndarray, fake: np.ndarray, fitted: Calibration) -> list[tuple[str, Rate, Rate]]:
    """What the limits of a validation set do on this one: name, share there, share here."""
    above, below = scores > fitted.threshold, scores < fitted.lower
    parts = [
        ('real pairs called fake', fitted.false_alarms, above, ~fake),
        ('fakes called real', fitted.misses, below, fake),
        ('pairs called inconclusive', fitted.inconclusive, ~above & ~below, np.ones(len(fake), bool)),
    ]
    return [(name, there, share(int((hit & of).sum()), int(of.sum()))) for name, there, hit, of in parts if of.any()]


def _figure(sample: VLDataSample, error: float, visualizer: ManipulationVisualizer, loader: PictureLoader) -> Figure:
    path = sample.get('img_path')
    image = load_picture(path, loader.orientation, loader.max_pixels) if path else blank_picture()
    drawn = visualizer.draw(image, sample)
    name = _readable(sample.fake_cls)
    alt = f'{sample.text} (truth: {name}; called {"fake" if sample.pred_fake_score > 0.5 else "real"})'
    return figure(drawn, alt, f'Row {sample.index} · {name} · error {error:.2f}')


def write_report(
    rows: JoinedRows,
    out_file: str | Path,
    title: str = 'Manipulation detection and grounding',
    metrics: Mapping[str, float | None] | None = None,
    trivial: Mapping[str, float | None] | None = None,
    image_root: str | None = None,
    num: int = 24,
    loader: PictureLoader | None = None,
    calibration: Calibration | None = None,
) -> None:
    """Write the page. It needs no network: style and pictures lie inside.

    Args:
        rows: The whole test set, see :func:`mmvlforge.evaluation.scoring.join`; classes, types and whether there are
            boxes and word positions are those of its format.
        out_file: HTML file to write.
        title: Heading. Default: 'Manipulation detection and grounding'.
        metrics: Name → percent (or None) of the model; without it the metrics are left out. Default: None.
        trivial: Likewise of a predictor that looks at nothing. Default: None.
        image_root: Folder that a record's ``image`` is relative to; None draws grey plates. Default: None.
        num: How many samples to draw. Default: 24.
        loader: What reads the pictures in testing, whose ``orientation`` and ``max_pixels`` hold here too. Default:
            ``LoadImage()``.
        calibration: What the model's scores are worth, learnt from its validation set; without it the raw scores alone
            are held against the truth. Default: None.
    """
    fmt = rows.format
    visualizer = ManipulationVisualizer(min_width=560)
    visualizer.dataset_meta = dict(image_types=fmt.image_types, text_types=fmt.text_types)
    samples = [joined_sample(rows, index, image_root) for index in range(len(rows.records))]
    errors = [prediction_error(sample) for sample in samples]
    classes = [record['fake_cls'] for record in rows.records]
    chosen = select_samples(classes, errors, num)
    loader = loader or LoadImage()
    figures = {
        key: [_figure(samples[i], errors[i], visualizer, loader) for i in places] for key, places in chosen.items()
    }

    unknown = {'places': not fmt.box_field, 'words': not fmt.word_field}
    missing = {'kinds': rows.type_scores is None, 'places': rows.boxes is None, 'words': rows.token_counts is None}
    silent = {
        _KIND: missing['kinds'],
        _PLACE: unknown['places'] or missing['places'],
        _WORDS: unknown['words'] or missing['words'],
    }
    # Not every file knows of both rules.
    shown = {
        key: metric
        for key, metric in METRICS.items()
        if not silent.get(metric.group) and (not key.endswith('_rule') or key in (metrics or {}))
    }
    called = rows.fake_scores > 0.5
    fake = rows.fake.astype(bool)
    reliability = [_reliability('Raw scores', rows.fake_scores, fake)]
    reached: list[tuple[str, Rate, Rate]] = []
    if calibration:
        after = scaled(log_odds(rows.fake_scores), calibration.temperature)
        reliability.append(_reliability('Calibrated scores', after, fake))
        reached = _reached(after, fake, calibration)
    write_page(
        out_file,
        'manipulation.html.j2',
        title=title,
        pairs=len(samples),
        fakes=int(rows.fake.sum()),
        unknown=[name for name, absent in unknown.items() if absent],
        missing=[name for name, absent in missing.items() if absent],
        groups=[] if metrics is None else metric_groups(shown, metrics, trivial),
        has_trivial=trivial is not None,
        classes=_count_classes(classes, called),
        verdicts=[
            (name, int((~called & (rows.fake == fake)).sum()), int((called & (rows.fake == fake)).sum()))
            for name, fake in (('real', False), ('fake', True))
        ],
        types=_count_types(rows),
        reliability=reliability,
        calibration=calibration,
        reached=reached,
        errors=[
            'the probability of the wrong verdict',
            *([] if silent[_PLACE] else ['1 − box overlap']),
            *([] if silent[_WORDS] else ['1 − F1 of the words']),
        ],
        sections=[
            (
                'One of each class',
                'Of each class the pair with the middle error.',
                figures['typical'],
            ),
            ('Best', 'The smallest errors, the classes by turns.', figures['best']),
            ('Worst', 'The largest errors of all.', figures['worst']),
        ],
    )
