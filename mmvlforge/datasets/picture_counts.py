"""How many pictures were read, and how many of them were not usable."""

import logging
from typing import Tuple

import torch
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

MAX_WORKERS = 256
NAMED = 10  # unusable pictures that each worker names in the log


class PictureCounts:
    """Counts of one source of pictures, exact over all workers: each writes a row of its own in shared memory."""

    def __init__(self) -> None:
        self._table = torch.zeros(MAX_WORKERS, 2, dtype=torch.int64).share_memory_()

    def add(self, problem: str = '') -> None:
        """Count one picture, with what makes it unusable, if anything does."""
        worker = get_worker_info()
        row = self._table[worker.id if worker else 0]
        row[0] += 1
        if problem:
            row[1] += 1
            if row[1] <= NAMED:
                message = f'skipped unusable picture {row[1]} of this worker: {problem}'
                print_log(message, logger='current', level=logging.WARNING)

    def get(self) -> Tuple[int, int]:
        """Pictures read and pictures unusable since the last :meth:`clear`."""
        tried, bad = self._table.sum(0).tolist()
        return tried, bad

    def clear(self) -> None:
        """Count from zero."""
        self._table.zero_()
