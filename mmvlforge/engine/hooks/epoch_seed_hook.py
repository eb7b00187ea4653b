"""Make every epoch depend on the seed and its number alone."""

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import IterableDataset

from mmvlforge.datasets.nested_datasets import nested_datasets
from mmvlforge.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed dropout and augmentation anew at the start of each training epoch, from seed, rank and epoch.

    MMEngine saves no random state, so a resumed run would draw other dropout masks and other augmentations than an
    uninterrupted one. With this hook both are the same, bit by bit on a CPU.

    ``IterBasedTrainLoop`` has no epochs: there each step is seeded from seed, rank and its number, and the data must be
    a stream, as :class:`WebCaptionDataset` is.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Refuse to show each picture in one and the same augmentation for ever.

        Raises:
            ValueError: The loop has no epochs, and a data set is read again and again.
        """
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            for dataset in nested_datasets(runner.train_dataloader.dataset, 'seed_epoch'):
                if not isinstance(dataset, IterableDataset):
                    raise ValueError(
                        f'{type(dataset).__name__} draws its augmentations by epoch, and IterBasedTrainLoop has none: '
                        'take train_cfg=dict(by_epoch=True, max_epochs=...), or leave out EpochSeedHook'
                    )

    def before_train_epoch(self, runner) -> None:
        """Announce the epoch to the data set."""
        for dataset in nested_datasets(runner.train_dataloader.dataset, 'seed_epoch'):
            dataset.seed_epoch(runner.seed, runner.epoch)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed all generators of this process before the epoch's first step, or before each where there are no epochs.

        Not before the epoch: starting the loader draws random numbers, and not as many in the first epoch of a process
        as in later ones.
        """
        by_epoch = not isinstance(runner.train_loop, IterBasedTrainLoop)
        if batch_idx == 0 or not by_epoch:
            number = runner.epoch if by_epoch else runner.iter
            state = np.random.SeedSequence((runner.seed, get_rank(), number)).generate_state(3)
            random.seed(int(state[0]))
            np.random.seed(state[1])
            torch.manual_seed(int(state[2]))
