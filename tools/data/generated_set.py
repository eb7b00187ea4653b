"""What the generators of small data sets share: reuse of a finished folder, care for foreign ones, workers."""

import contextlib
import functools
import json
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Callable, Iterator, Sequence

import cv2

__all__ = ['finish', 'ordered_map', 'prepare']


def prepare(out: Path, name: str, parts: Sequence[str], arguments: dict, force: bool) -> bool:
    """Make a folder ready to be filled.

    Args:
        out: The folder.
        name: Name of the set; ``<name>.json`` marks a finished one and holds its arguments.
        parts: Files and folders of the set; what an earlier run left of them is deleted.
        arguments: What the set is made from.
        force: Replace a set that was made from other arguments.

    Returns:
        False if the folder already holds the finished set.

    Raises:
        ValueError: The folder holds another set, or files that are not of this program.
    """
    finished, unfinished = out / f'{name}.json', out / f'{name}.json.part'
    if finished.exists() and not unfinished.exists():
        held = json.loads(finished.read_text())
        if held == arguments:
            return False
        if not force:
            raise ValueError(
                f'{out} holds a mini set made with {held}, not {arguments}: choose another folder, or add --force.'
            )
    elif not unfinished.exists():
        # Never delete what this program did not write, such as a real data set.
        foreign = [part for part in parts if (out / part).exists()]
        if foreign:
            slash = '/' if (out / foreign[0]).is_dir() else ''
            raise ValueError(f'{out} holds {foreign[0]}{slash} of another origin: choose another folder.')
    out.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(json.dumps(arguments) + '\n')
    finished.unlink(missing_ok=True)
    for part in parts:
        if (out / part).is_dir():
            shutil.rmtree(out / part)
        else:
            (out / part).unlink(missing_ok=True)
    return True


@contextlib.contextmanager
def ordered_map(workers: int) -> Iterator[Callable]:
    """Give a ``map(function, items)`` that returns a list in the order of the items, from one or several processes."""
    cv2.setNumThreads(0)
    if workers == 1:
        yield lambda function, items: [function(item) for item in items]
    else:
        with multiprocessing.get_context('spawn').Pool(workers, cv2.setNumThreads, (0,)) as pool:
            yield functools.partial(pool.map, chunksize=32)


def finish(out: Path, name: str) -> None:
    """Mark the set as finished."""
    os.replace(out / f'{name}.json.part', out / f'{name}.json')
