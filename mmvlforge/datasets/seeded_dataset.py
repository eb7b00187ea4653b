"""Data sets whose augmentation depends on nothing but seed, epoch and index."""

import random

import numpy as np
import torch
from mmengine.dataset import BaseDataset


class SeededDataset(BaseDataset):
    """A data set that seeds ``random`` and ``numpy.random`` anew before each item.

    A resumed run then sees the same augmented samples as an uninterrupted one, whatever the number of workers and
    also when workers outlive an epoch (``persistent_workers``): seed and epoch lie in shared memory. Until
    :meth:`seed_epoch` is called (by ``EpochSeedHook``) nothing is seeded.
    """

    def __init__(self, *args, **kwargs) -> None:
        self._seed_and_epoch = torch.full((2,), -1, dtype=torch.int64).share_memory_()
        super().__init__(*args, **kwargs)

    def seed_epoch(self, seed: int, epoch: int) -> None:
        """Announce the epoch (0-based) that is about to be read."""
        self._seed_and_epoch.copy_(torch.tensor([seed, epoch]))

    def prepare_data(self, idx: int):
        """Run the pipeline on item ``idx`` with its own random state."""
        seed, epoch = self._seed_and_epoch.tolist()
        if epoch >= 0:
            state = np.random.SeedSequence((seed, epoch, idx)).generate_state(2)
            np.random.seed(state[0])
            random.seed(int(state[1]))
        return super().prepare_data(idx)
