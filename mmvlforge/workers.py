"""Work spread over processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from multiprocessing import resource_tracker
from typing import Any

import cv2

__all__ = ['begin_worker', 'ordered_map']


@contextmanager
def ordered_map(
    workers: int, progress: Callable[[int], None] = lambda done: None, method: str | None = None
) -> Iterator[Callable[[Callable[[Any], Any], Iterable], list]]:
    """Give a ``map(function, items)`` that returns a list in the order of the items, from one or several processes.

    Args:
        workers: Number of processes; with 1 this process does the work itself.
        progress: Called after each item with the number of items that are done, over all calls of the ``map``.
        method: How the processes start, ``spawn`` or ``fork``; the system's way by default.
    """
    numbers = count(1)

    def collect(results: Iterable) -> list:
        found = []
        for result in results:
            found.append(result)
            progress(next(numbers))
        return found

    cv2.setNumThreads(0)  # they would compete with the processes
    if workers == 1:
        yield lambda function, items: collect(map(function, items))
        return
    with ExitStack() as stack:
        with _deaf_to_interrupts():
            pool = stack.enter_context(multiprocessing.get_context(method).Pool(workers, begin_worker))
        yield lambda function, items: collect(pool.imap(function, items, chunksize=32))


def begin_worker(number: int = 0) -> None:
    """A new process: alone on its core, and no longer at work than the one that started it, even if that is killed."""
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # the queue still holds work, and whoever waits for the folder believes it free


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that start meanwhile never hear Ctrl-C, which a terminal sends to all: this one does, and ends them."""
    resource_tracker.ensure_running()  # its start would undo the block
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
