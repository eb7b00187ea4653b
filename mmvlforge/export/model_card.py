"""A model's card: what it is, what it began from and saw, its figures, its limits. Nothing in it is guessed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvlforge.annotations.values import one_line
from mmvlforge.manifest import check_made_from, read_metrics_file
from mmvlforge.reports.evidence import UNKNOWABLE
from mmvlforge.reports.page import write_page
from mmvlforge.starter_files import STARTERS
from mmvlforge.version import __version__

__all__ = ['CARD', 'beginnings', 'read_figures', 'shown_metrics', 'write_card']

CARD = 'README.md'
_SHOWN = (
    *('AUC', 'EER', 'ACC', 'mAP', 'CF1', 'OF1', 'IoUmean', 'IoU50', 'IoU75', 'IoUmean_boxed'),
    *('Precision', 'Recall', 'F1', 't2i_R@1', 't2i_R@5', 't2i_R@10', 'i2t_R@1', 'i2t_R@5', 'i2t_R@10', 'RSUM'),
)


def beginnings(cfg: Config) -> list[str]:
    """What a model's weights began from, as its config says it; empty where they began at random.

    Args:
        cfg: The config that it was trained by.
    """
    told = [_beginning(start) for start in _starts(cfg.get('model', {}).to_dict())]
    if cfg.get('load_from'):
        told.append(f'the checkpoint {Path(cfg.load_from).name}')
    return list(dict.fromkeys(filter(None, told)))


def _starts(value: Any) -> Iterator[dict]:
    if isinstance(value, dict):
        start = value.get('init_cfg')
        yield from (one for one in (start if isinstance(start, list) else [start]) if isinstance(one, dict))
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _starts(inner)


def _beginning(start: dict) -> str:
    kind, name = start.get('type', ''), start.get('name')
    if kind == 'StarterWeights' and name in STARTERS:
        return f'{name}, of the package {STARTERS[name].packages[0]} (Apache 2.0)'
    source = name or start.get('checkpoint') or start.get('folder')
    return f'{Path(str(source)).name if kind.startswith("Part") else source}, by {kind}' if source else ''


def read_figures(files: Sequence[str | Path], fingerprint: str) -> list[dict[str, Any]]:
    """Figures for a card, of files that ``test --out`` wrote.

    Args:
        files: The files.
        fingerprint: Digest of the model's weights.

    Returns:
        Of each its name, the metrics that a card shows, and what it says of its data.

    Raises:
        ValueError: One is of other weights, or does not say of which.
    """
    found = []
    for path in files:
        metrics, manifest = read_metrics_file(path)
        weights = manifest.get('weights')
        if not isinstance(weights, dict) or not weights.get('fingerprint'):
            raise ValueError(f'{path}: does not say of which weights its figures are; let test --out write it')
        check_made_from(path, weights=fingerprint)
        data = manifest.get('data') or {}
        files_read = [one.get('file') for loader in data.values() for one in loader if isinstance(one, dict)]
        found.append(dict(metrics=shown_metrics(metrics), data=[one_line(str(name)) for name in files_read if name]))
    return found


def shown_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Those of many metrics that a card shows, in its order."""
    return {name: metrics[name] for name in _SHOWN if isinstance(metrics.get(name), (int, float))}


def write_card(folder: Path, facts: dict[str, Any]) -> None:
    """Write ``README.md``, as a hub shows it.

    Args:
        folder: The model's.
        facts: ``name``, ``type``, ``kind`` (``'detector'`` or ``'retriever'``), ``values`` (millions), ``trained_on``,
            ``began``, ``figures``, ``calibration`` (lines), ``familiar`` (whether it knows what it has seen),
            ``warnings``, ``fingerprint``.
    """
    unknowable = UNKNOWABLE if facts['kind'] == 'detector' else ()
    write_page(folder / CARD, 'card.md.j2', version=__version__, unknowable=unknowable, **facts)
