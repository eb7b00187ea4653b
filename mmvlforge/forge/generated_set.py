"""What the generators of small data sets share: arguments, workers, care for what a folder holds."""

import argparse
import contextlib
import functools
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2

__all__ = ['finish', 'ordered_map', 'prepare', 'run_generator']


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


def run_generator(
    make: Callable[..., bool],
    description: str,
    unit: str,
    num_val: int,
    num_test: int,
    argv: list[str] | None = None,
) -> None:
    """Read the command line of a generator, run it and say what it did.

    Args:
        make: Called with the folder, the sizes of the splits, the seed, the number of workers and ``force``. Returns
            False if the folder already held the set; raises ValueError where an argument is wrong.
        description: What it writes.
        unit: What it counts, in the plural.
        num_val: Default size of the validation split.
        num_test: Default size of the test split.
        argv: The arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('out', type=Path, help='folder to write to')
    parser.add_argument('--num', type=int, required=True, help=f'number of training {unit}')
    parser.add_argument('--seed', type=int, default=0, help='seed (default 0)')
    parser.add_argument('--num-val', type=int, default=num_val, help=f'validation {unit} (default {num_val})')
    parser.add_argument('--num-test', type=int, default=num_test, help=f'test {unit} (default {num_test})')
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1, help='processes (default: one a core)')
    parser.add_argument('--force', action='store_true', help='replace a mini set made with other arguments')
    args = parser.parse_args(argv)
    sizes = dict(train=args.num, val=args.num_val, test=args.num_test)
    start = time.perf_counter()
    try:
        written = make(args.out, sizes, args.seed, args.workers, args.force)
    except ValueError as error:
        parser.error(str(error))
    if written:
        seconds = time.perf_counter() - start
        total = sum(sizes.values())
        print(f'Wrote {total} {unit} to {args.out} in {seconds:.1f} s ({total / seconds:.0f} a second).')
    else:
        print(f'{args.out} already holds this mini set.')
