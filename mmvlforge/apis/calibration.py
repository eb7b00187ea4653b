"""What a model's scores are worth, learnt from its config's validation set and kept beside its weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmvlforge.annotations.json_files import read_json_object, write_json
from mmvlforge.apis.familiarity import draw_records
from mmvlforge.evaluation.calibration import NUM_BINS, Bin, Calibration, Rate, fit_calibration

if TYPE_CHECKING:
    from mmvlforge.apis.manipulation import ManipulationInferencer

__all__ = [
    'CALIBRATION',
    'LearntCalibration',
    'learn_calibration',
    'read_calibration',
    'told_of_calibration',
    'write_calibration',
]

CALIBRATION = 'calibration.json'  # beside a model's weights
_SCHEMA = 'mmvlforge.calibration/1'
_RATES = ('false_alarms', 'misses', 'inconclusive', 'error_before', 'error_after')


class LearntCalibration(NamedTuple):
    """A calibration, and how it was learnt.

    Attributes:
        fitted: The numbers.
        protocol: ``set`` (what was read), ``pairs`` (how many were used), ``fakes`` (of them), ``left_out`` (pairs that
            could not be judged), ``false_alarms`` (the rate that was chosen), ``seed``.
    """

    fitted: Calibration
    protocol: dict[str, Any]


def learn_calibration(
    inferencer: 'ManipulationInferencer', num: int = 4000, false_alarms: float = 0.05, seed: int = 0
) -> LearntCalibration:
    """Learn what a detector's scores are worth from its config's validation set, read as a user's inputs are.

    Pairs that the model holds for unfamiliar count too. Scores are those of pairs as they stand, without copies.

    Args:
        inferencer: The detector.
        num: Pairs, at the most; they are drawn without repetition.
        false_alarms: Share of real pairs that may be called fake.
        seed: Of the draw and the bootstrap.

    Raises:
        ValueError: The config has no such data, too few of them for the rate, or of one class alone.
        FileNotFoundError: They are missing.
    """
    cfg = inferencer.trained.cfg
    records = draw_records(cfg, 'val_dataloader', num, seed)
    queries = [dict(image=record['img_path'], caption=record['text'], id=row) for row, record in enumerate(records)]
    rows, scores, odds = [], [], []
    for row, score, type_odds in inferencer.raw_scores(queries):
        rows.append(row)
        scores.append(score)
        odds.append(type_odds)
    kinds = [
        (name, number, key)
        for key, names in (('image_type', inferencer.image_types), ('text_type', inferencer.text_types))
        for number, name in enumerate(names, 1)
    ]
    truth = {name: np.array([records[row][key] == number for row in rows]) for name, number, key in kinds}
    labels = np.any(list(truth.values()), axis=0) if rows else np.zeros(0, bool)
    try:
        types = {name: (np.array(odds)[:, place], truth[name]) for place, (name, _, _) in enumerate(kinds) if rows}
        fitted = fit_calibration(np.array(scores), labels, types, false_alarms, seed)
    except ValueError as error:
        raise ValueError(
            f'{cfg.filename}: val_dataloader, {len(rows)} pairs that can be judged: {error}; --pairs 0 leaves '
            'calibration out'
        ) from None
    protocol = dict(
        set=f'val_dataloader of {Path(cfg.filename).name}',
        pairs=len(rows),
        fakes=int(labels.sum()),
        left_out=len(records) - len(rows),
        false_alarms=false_alarms,
        seed=seed,
    )
    return LearntCalibration(fitted, protocol)


def told_of_calibration(learnt: LearntCalibration) -> list[str]:
    """What was learnt, as lines for people."""
    fitted, protocol = learnt
    before, after = fitted.error_before, fitted.error_after
    return [
        f'calibrated on {protocol["pairs"]} pairs ({protocol["fakes"]} fake) of {protocol["set"]}: temperature '
        f'{fitted.temperature:.2f}, calibration error before {before.value:.3f} ({before.low:.3f} to {before.high:.3f})'
        f', after {after.value:.3f} ({after.low:.3f} to {after.high:.3f})',
        f'fake above {fitted.threshold:.3f} ({_told(fitted.false_alarms)} of real pairs), real below '
        f'{fitted.lower:.3f} ({_told(fitted.misses)} of fakes), else inconclusive ({_told(fitted.inconclusive)})',
    ]


def _told(rate: Rate) -> str:
    return f'{rate.value:.1%}, {rate.low:.1%} to {rate.high:.1%}'


def write_calibration(learnt: LearntCalibration, fingerprint: str, path: str | Path) -> None:
    """Write a file beside a model's weights.

    Args:
        learnt: Of :func:`learn_calibration`.
        fingerprint: Digest of the model's weights.
        path: The file.
    """
    numbers = learnt.fitted._asdict()
    numbers.update({name: numbers[name]._asdict() for name in _RATES}, bins=[bin._asdict() for bin in numbers['bins']])
    write_json(path, dict(schema=_SCHEMA, weights=fingerprint, protocol=learnt.protocol, **numbers))


def read_calibration(path: str | Path, fingerprint: str | None = None) -> LearntCalibration:
    """Read such a file.

    Args:
        path: The file.
        fingerprint: Digest of the weights that it must have been made for; None if they are not at hand.

    Raises:
        ValueError: It is damaged, something else, or of other weights.
    """
    content = read_json_object(path)
    if content.get('schema') != _SCHEMA:
        raise ValueError(f'{path}: no such file as mmvlforge export writes ({_SCHEMA})')
    if fingerprint is not None and content.get('weights') != fingerprint:
        raise ValueError(f'{path}: was made for other weights; export the model again')

    def number(value: Any, low: float, high: float) -> float:
        if type(value) not in (int, float) or not low <= value <= high:
            raise ValueError(f'{path}: {value!r:.60} must be a number from {low} to {high}; export the model again')
        return float(value)

    try:
        bins = [
            Bin(
                number(found['low'], 0, 1),
                number(found['high'], 0, 1),
                int(number(found['pairs'], 0, 1e12)),
                int(number(found['fake'], 0, 1e12)),
                number(found['mean'], 0, 1),
            )
            for found in content['bins']
        ]
        rates = {name: Rate(*(number(content[name][part], 0, 1) for part in Rate._fields)) for name in _RATES}
        interval = content['threshold_interval']
        fitted = Calibration(
            temperature=number(content['temperature'], 0.01, 100),
            type_temperatures={name: number(value, 0.01, 100) for name, value in content['type_temperatures'].items()},
            threshold=number(content['threshold'], 0.5, 1),
            lower=number(content['lower'], 0, 0.5),
            threshold_interval=(number(interval[0], 0.5, 1), number(interval[1], 0.5, 1)),
            bins=bins,
            **rates,
        )
        protocol = {**content['protocol']}
        pairs, fakes = (int(number(protocol[name], 0, 1e12)) for name in ('pairs', 'fakes'))
        protocol.update(pairs=pairs, fakes=fakes, false_alarms=number(protocol['false_alarms'], 0, 0.5))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: is damaged ({type(error).__name__}: {error}); export the model again') from None
    if len(bins) != NUM_BINS:
        raise ValueError(f'{path}: has {len(bins)} bins, must have {NUM_BINS}; export the model again')
    return LearntCalibration(fitted, protocol)
