"""Seed and epoch, known to all workers of a loader."""

import random
from typing import Tuple

import numpy as np
import torch


class EpochSeed:
    """Seed and number of the epoch that is being read, in shared memory.

    Workers that outlive an epoch (``persistent_workers``) hear of the next one too.
    """

    def __init__(self) -> None:
        self._numbers = torch.full((2,), -1, dtype=torch.int64).share_memory_()

    def announce(self, seed: int, epoch: int) -> None:
        """Announce the epoch (0-based) that is about to be read."""
        self._numbers.copy_(torch.tensor([seed, epoch]))

    def get(self) -> Tuple[int, int]:
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
