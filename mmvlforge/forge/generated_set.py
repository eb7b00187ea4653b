"""What the makers of data sets share: arguments, and care for what a folder holds."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmvlforge.annotations.json_files import read_json_object
from mmvlforge.folder_lock import folder_lock

__all__ = ['SPLITS', 'filling', 'made_from']

SPLITS = ('train', 'val', 'test')


def made_from(version: int, seed: int, workers: int, **more) -> dict:
    """What tells a set from another one of its kind, as its mark holds it.

    Args:
        version: Number that grows when the same arguments give other bytes.
        seed: Seed of everything, not negative.
        workers: Number of processes, at least 1; the bytes do not depend on it.
        **more: What else they depend on.

    Raises:
        ValueError: The seed or the number of workers is out of range.
    """
    if seed < 0:
        raise ValueError(f'The seed must not be negative: {seed}.')
    if workers < 1:
        raise ValueError(f'At least one worker is needed, not {workers}.')
    return dict(format=version, seed=seed, **more)


@contextmanager
def filling(out: Path, name: str, parts: Sequence[str], arguments: dict, force: bool) -> Iterator[bool]:
    """Hold a folder, make it ready to be filled, and mark the set as finished when that was done.

    Args:
        out: The folder.
        name: Name of the set; ``<name>.json`` marks a finished one and holds its arguments.
        parts: Files and folders of the set; what an earlier run left of them is deleted.
        arguments: What the set is made from.
        force: Replace a set that was made from other arguments.

    Yields:
        False if the folder already holds the finished set.

    Raises:
        ValueError: The folder holds another set, or files that are not of this program, or is being filled by another
            process.
    """
    with folder_lock(out, f'a maker of {name}'):
        missing = _prepare(out, name, parts, arguments, force)
        yield missing
        if missing:
            os.replace(out / f'{name}.json.part', out / f'{name}.json')


def _prepare(out: Path, name: str, parts: Sequence[str], arguments: dict, force: bool) -> bool:
    finished, unfinished = out / f'{name}.json', out / f'{name}.json.part'
    if finished.exists() and not unfinished.exists():
        held = read_json_object(finished)
        if held == arguments:
            return False
        if not force:
            raise ValueError(
                f'{out} holds a set made with other arguments: {_differences(held, arguments)}; choose another folder, '
                'or add --force.'
            )
    elif not unfinished.exists():
        # Never delete what this program did not write, such as a real data set.
        foreign = [part for part in parts if (out / part).exists()]
        if foreign:
            slash = '/' if (out / foreign[0]).is_dir() else ''
            raise ValueError(f'{out} holds {foreign[0]}{slash} of another origin: choose another folder.')
    unfinished.write_text(json.dumps(arguments) + '\n')
    finished.unlink(missing_ok=True)
    for part in parts:
        if (out / part).is_dir():
            shutil.rmtree(out / part)
        else:
            (out / part).unlink(missing_ok=True)
    return True


def _differences(held: dict, wanted: dict) -> str:
    """The arguments that differ, in words."""
    names = [name for name in dict.fromkeys((*held, *wanted)) if held.get(name) != wanted.get(name)]
    return ', '.join(f'{name} was {held.get(name)!r:.80}, not {wanted.get(name)!r:.80}' for name in names)
