"""The data checker of the DGM⁴ family: every bad record of an annotation file at once, with its picture.

The rules are the ones that training applies.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmvlforge.annotations import Problem, RecordFormat, box_inside, record_problems
from mmvlforge.annotations.values import text_fault
from mmvlforge.config_files import load_config, told_of_config
from mmvlforge.datasets.nested_datasets import PictureLoader, nested_datasets, picture_loader
from mmvlforge.datasets.transforms import LoadImage
from mmvlforge.datasets.transforms.loading import UnusableImageError, decode_image, read_image
from mmvlforge.registry import DATASETS
from mmvlforge.workers import ordered_map

__all__ = ['Problems', 'cut_lines', 'find_problems', 'format_of', 'problem_lines', 'summary_lines']

Problems = dict[int, list[Problem]]


def format_of(config: str, loader: str = 'train_dataloader') -> tuple[RecordFormat, PictureLoader]:
    """The record format of a config's training set, or of another loader's, and what reads the set's pictures.

    Raises:
        ValueError: The config has no such loader, or that set no record format.
    """
    cfg = load_config(config)
    if loader not in cfg:
        raise ValueError(f'{config}: has no {loader}')
    with told_of_config(config):
        dataset = DATASETS.build({**cfg[loader].dataset, 'lazy_init': True})
    found = next(nested_datasets(dataset, 'format'), None)  # of several sets the first's
    if found is None:
        raise ValueError(f'{config}: the {type(dataset).__name__} of its {loader} has no record format')
    return found.format, picture_loader(dataset)


def picture_size(loader: PictureLoader, path: str) -> tuple[int, int] | Problem:
    """Width and height of a picture after decoding it whole, as the loader would, or what is wrong with it."""
    if not os.path.exists(path):
        return Problem('missing image', 'image', f'{path} does not exist')
    try:
        return decode_image(read_image(path), path, orientation=loader.orientation, max_pixels=loader.max_pixels)[1]
    except UnusableImageError as error:
        return Problem('unreadable image', 'image', str(error))


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not text_fault(value)


def find_problems(
    records: Sequence[dict | None],
    fmt: RecordFormat,
    image_root: str | Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cut: dict[int, str] | None = None,
    loader: PictureLoader | None = None,
) -> Problems:
    """Row → what is wrong with it, for each bad row.

    Args:
        records: As read; None for an entry that is no JSON object, which is left out here.
        fmt: What the set promises.
        image_root: Folder of the pictures; None leaves them out.
        workers: Processes that decode pictures.
        progress: Called after each picture: how many are decoded, and how many there are.
        cut: If given, the row of each good record whose box reaches beyond its picture, which is no problem as far as
            the format tolerates it, is written here with what training makes of it.
        loader: What reads the pictures in training, whose ``orientation`` and ``max_pixels`` hold here too. Defaults to
            ``LoadImage()``.
    """
    paths: dict[int, str] = {}
    sizes: dict[str, tuple[int, int] | Problem] = {}
    if image_root:
        paths = {
            row: os.path.join(image_root, record['image'])
            for row, record in enumerate(records)
            if record is not None and _is_path(record.get('image'))
        }
        files = sorted(set(paths.values()))
        size_of = partial(picture_size, loader or LoadImage())
        with ordered_map(workers, lambda done: progress(done, len(files))) as run:
            sizes = dict(zip(files, run(size_of, files)))
    problems: Problems = {}
    for row, record in enumerate(records):
        if record is None:
            continue
        size = sizes[paths[row]] if row in paths else None
        found = [size] if isinstance(size, Problem) else []
        size = None if isinstance(size, Problem) else size
        found += record_problems(record, fmt, size)
        if found:
            problems[row] = found
            continue
        box = record[fmt.box_field] if fmt.box_field else []
        inside = box_inside(box, size, fmt.box_tolerance) if box else []
        if cut is not None and inside != list(box):
            cut[row] = f'{box} becomes {inside}'
    return problems


def cut_lines(cut: dict[int, str], max_show: int) -> Iterator[str]:
    """How many boxes are cut at the edge, then the first ``max_show``."""
    if cut:
        yield f'\nboxes that reach beyond the edge of their picture, cut there, no fault: {len(cut)}'
        yield from [f'  record {row}: {change}' for row, change in cut.items()][:max_show]
        if len(cut) > max_show:
            yield f'  and {len(cut) - max_show} more'


def problem_lines(problems: Problems, max_show: int) -> Iterator[str]:
    """Counts by kind, then the first ``max_show`` records of each kind."""
    kinds = defaultdict(list)
    for row in sorted(problems):
        for problem in problems[row]:
            kinds[problem.kind].append((row, problem))
    for kind, cases in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        yield f'\n{kind}: {len(cases)}'
        for row, problem in cases[:max_show]:
            where = f"field '{problem.field}': " if problem.field else ''
            yield f'  record {row}, {where}{problem.message}'
        if len(cases) > max_show:
            yield f'  and {len(cases) - max_show} more'


def summary_lines(records: list[dict], fmt: RecordFormat) -> Iterator[str]:
    """What the good records hold; at least one."""
    words = [len(record['text'].split()) for record in records]
    yield f'\n{len(records)} good records, {len({record["image"] for record in records})} pictures'
    yield f'  words: {sum(words)}, {sum(words) / len(words):.1f} a caption, at most {max(words)}'
    if fmt.word_field:
        fake = sum(len(set(record[fmt.word_field])) for record in records)
        yield f'  fake words: {fake} ({100 * fake / sum(words):.1f} %)'
    if fmt.box_field:
        boxed = sum(bool(record[fmt.box_field]) for record in records)
        yield f'  with a box: {boxed} ({100 * boxed / len(records):.1f} %)'
    for name, count in Counter(record['fake_cls'] for record in records).most_common():
        yield f'  {name}: {count} ({100 * count / len(records):.1f} %)'
