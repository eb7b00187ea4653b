"""Self-contained HTML pages of a retrieval model: its test, metrics beside chance; and what it finds for words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmvlforge.evaluation.retrieval import WINOGROUND_CHANCE, image_text_chance
from mmvlforge.manifest import read_metrics_file
from mmvlforge.reports.page import Metric, figure, metric_groups, write_page
from mmvlforge.visualization.drawing import Drawn

__all__ = ['METRICS', 'chance_of', 'read_metrics', 'write_found', 'write_report']

METRICS = {
    **{
        f'{way}_R@{k}': Metric(group, f'Recall@{k}', f'Share of {queries} with {wanted} {place}.')
        for way, group, queries, wanted in (
            ('i2t', 'Captions for a picture', 'pictures', 'one of their captions'),
            ('t2i', 'Pictures for a caption', 'captions', 'their picture'),
        )
        for k, place in ((1, 'first'), (5, 'among the first 5'), (10, 'among the first 10'))
    },
    'RSUM': Metric('Both ways', 'Sum of recalls', 'Of the six above; 600 at most.'),
    **{
        f'{name}/{path}': Metric(f'Proofreading, {path} path', title, meaning)
        for path in ('local', 'global')
        for name, title, meaning in (
            ('detection_AUC', 'Finding edited words', 'How well P(wrong) ranks edited above kept words; ROC AUC.'),
            ('detection_AUC_editable', 'The same, editable words', 'Among words that could have been edited; ROC AUC.'),
            ('correction_top1', 'Original first', 'Share of edited words whose original is the first candidate.'),
            ('correction_top5', 'Original among five', 'Share of edited words whose original is among the first five.'),
        )
    },
    'text_score': Metric('Winoground', 'Captions', 'For both pictures the right one of two captions, same words.'),
    'image_score': Metric('Winoground', 'Pictures', 'For both captions the right one of two pictures.'),
    'group_score': Metric('Winoground', 'Both', 'Right captions and right pictures.'),
}  # fmt: skip


def read_metrics(paths: Sequence[str | Path]) -> dict[str, float]:
    """Join the metrics of several files.

    Raises:
        ValueError: A file is no JSON object of numbers (its manifest apart), or none of the metrics is known.
    """
    metrics: dict[str, float] = {}
    for path in paths:
        found = read_metrics_file(path)[0]
        if not all(type(value) in (int, float) for value in found.values()):
            raise ValueError(f'{path}: must be a JSON object of numbers')
        metrics.update({name: float(value) for name, value in found.items()})
    if not METRICS.keys() & metrics.keys():
        raise ValueError(f'{" ".join(map(str, paths))}: none of the metrics {", ".join(METRICS)}')
    return metrics


def chance_of(metrics: Mapping[str, float], owner: np.ndarray, num_images: int) -> dict[str, float | None]:
    """What guessing gets, for every known metric.

    Args:
        metrics: Name → percent. What they say of chance themselves, as ``name/chance``, is taken.
        owner: Index of each caption's image, ``(Nt,)``.
        num_images: How many images there are.
    """
    known = {**image_text_chance(owner, num_images), **WINOGROUND_CHANCE}
    known.update({name.removesuffix('/chance'): value for name, value in metrics.items() if name.endswith('/chance')})
    return {name: known.get(name.split('/')[0]) for name in METRICS if name in metrics}


def write_report(
    out_file: str | Path,
    title: str,
    metrics: Mapping[str, float],
    chance: Mapping[str, float | None],
    drawn: Mapping[str, Sequence[Drawn]],
    num_images: int,
    num_captions: int,
) -> None:
    """Write the page. It needs no network: style and pictures lie inside.

    Args:
        out_file: HTML file to write.
        title: Heading.
        metrics: Name → percent; those that are unknown are left out.
        chance: From :func:`chance_of`.
        drawn: Pictures by kind: ``similarity``, ``found_pictures``, ``found_captions``, and of a model that can
            ``proofreading`` and ``word_maps``.
        num_images: Of the test set.
        num_captions: Of the test set.
    """
    kinds = ('proofreading', 'word_maps', 'similarity', 'found_pictures', 'found_captions')
    write_page(
        out_file,
        'retrieval.html.j2',
        title=title,
        pictures=num_images,
        captions=num_captions,
        groups=metric_groups({name: METRICS[name] for name in METRICS if name in metrics}, metrics, chance),
        figures={kind: [figure(d.picture, d.alt, d.note) for d in drawn.get(kind, ())] for kind in kinds},
    )


def write_found(
    out_file: str | Path, title: str, model: str, drawn: Mapping[str, Sequence[Drawn]], left_out: Mapping[str, str]
) -> None:
    """Write a page of pictures that were found by words, which lie inside.

    Args:
        out_file: HTML file to write.
        title: Heading.
        model: Who searched.
        drawn: Of each query, the best first.
        left_out: Files that could not be read, each with the reason.
    """
    found = {query: [figure(d.picture, d.alt, d.note) for d in pictures] for query, pictures in drawn.items()}
    write_page(out_file, 'found.html.j2', title=title, model=model, found=found, left_out=left_out)
