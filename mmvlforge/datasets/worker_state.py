"""What all workers of a loader share: seed and epoch, and how many pictures were unusable."""

import logging
import random

import numpy as np
import torch
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

__all__ = ['EpochSeed', 'PictureCounts']

MAX_WORKERS = 256
NAMED = 10  # unusable pictures that each worker names in the log


class EpochSeed:
    """Seed and number of the epoch that is being read, in shared memory.

    Workers that outlive an epoch (``persistent_workers``) hear of the next one too.
    """

    def __init__(self) -> None:
        self._numbers = torch.full((2,), -1, dtype=torch.int64).share_memory_()

    def announce(self, seed: int, epoch: int) -> None:
        """Announce the epoch (0-based) that is about to be read."""
        self._numbers.copy_(torch.tensor([seed, epoch]))

    def get(self) -> tuple[int, int]:
        """Seed and epoch; zeros before the first announcement."""
        seed, epoch = self._numbers.tolist()
        return (seed, epoch) if epoch >= 0 else (0, 0)

    def seed_item(self, *place: int) -> None:
        """Seed ``random`` and ``numpy.random`` for one item; before the first announcement nothing is seeded.

        Args:
            *place: Which item of the epoch.
        """
        seed, epoch = self._numbers.tolist()
        if epoch >= 0:
            state = np.random.SeedSequence((seed, epoch, *place)).generate_state(2)
            np.random.seed(state[0])
            random.seed(int(state[1]))


class PictureCounts:
    """Counts of one source of pictures, exact over all workers: each writes a row of its own in shared memory.

    Args:
        done: What the log says was done with a picture that has a problem.
    """

    def __init__(self, done: str = 'skipped unusable picture') -> None:
        self._done = done
        self._table = torch.zeros(MAX_WORKERS, 2, dtype=torch.int64).share_memory_()

    def add(self, problem: str = '') -> None:
        """Count one picture, with what is wrong with it, if anything is."""
        worker = get_worker_info()
        row = self._table[worker.id if worker else 0]
        row[0] += 1
        if problem:
            row[1] += 1
            if row[1] <= NAMED:
                message = f'{self._done} {row[1]} of this worker: {problem}'
                print_log(message, logger='current', level=logging.WARNING)

    def get(self) -> tuple[int, int]:
        """Pictures read and pictures with a problem since the last :meth:`clear`."""
        tried, bad = self._table.sum(0).tolist()
        return tried, bad

    def clear(self) -> None:
        """Count from zero."""
        self._table.zero_()
