"""How far a command is, on standard error: a bar on a terminal, elsewhere a short line for every tenth, or minute."""

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

    rate = TextColumn('{task.fields[rate]}')
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, pace = bar.add_task(unit, total=None, rate=''), _Pace()
        yield lambda done, total: bar.update(task, completed=done, total=total, rate=pace(done))


class _Pace:
    """How many a second, since it was asked first: of work that goes on, what was done before does not count."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None

    def __call__(self, done: int) -> str:
        """The pace when so many are done, as text; '' at first."""
        now = time.monotonic()
        self.first = self.first or (done, now)
        seconds = now - self.first[1]
        return f'{(done - self.first[0]) / seconds:.1f} a second' if seconds > 0 else ''


class _Lines:
    """A line when another tenth is done, none in the first second after another: short work stays silent.

    Long work has a line a minute.
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.tenth = 0
        self.said = time.monotonic()
        self.pace = _Pace()

    def __call__(self, done: int, total: int) -> None:
        """Say how many of how many are done, if it is time to."""
        tenth, now, pace = 10 * done // total, time.monotonic(), self.pace(done)
        if now - self.said >= (1 if tenth > self.tenth else 60):
            told = f'{100 * done // total} %{f", {pace}" if pace else ""}'
            print(f'{done} of {total} {self.unit} ({told})', file=sys.stderr, flush=True)
            self.tenth, self.said = tenth, now
