"""How far a command is, on standard error: a bar on a terminal, elsewhere a short line for every tenth."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ['progress']


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to call with how many of how many are done.

    Args:
        unit: What is counted, in the plural.
    """
    if not sys.stderr.isatty():
        yield _Lines(unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    """A line when another tenth is done, none in the first second after another: short work stays silent."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.tenth = 0
        self.said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Say how many of how many are done, if it is time to."""
        tenth, now = 10 * done // total, time.monotonic()
        if tenth > self.tenth and now - self.said >= 1:
            print(f'{done} of {total} {self.unit} ({100 * done // total} %)', file=sys.stderr, flush=True)
            self.tenth, self.said = tenth, now
