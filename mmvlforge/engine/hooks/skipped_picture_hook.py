"""Report pictures that training data sets leave out, and stop where there are too many."""

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from mmvlforge.datasets.nested_datasets import nested_datasets
from mmvlforge.registry import HOOKS


@HOOKS.register_module()
class SkippedPictureHook(Hook):
    """Log at the end of each training epoch how many pictures of each source were unusable, over all ranks.

    Args:
        max_share: Largest share of unusable pictures in a source; training stops above it. Defaults to 0.1.
        interval: Iterations between two checks within an epoch. Defaults to 1000.
    """

    def __init__(self, max_share: float = 0.1, interval: int = 1000) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError(f'max_share must be between 0 and 1, got {max_share}')
        self.max_share = max_share
        self.interval = interval

    def before_train_epoch(self, runner) -> None:
        """Count from zero."""
        for dataset in nested_datasets(runner.train_dataloader.dataset, 'pictures'):
            dataset.pictures.clear()

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Check now and then: an epoch on web pictures can take days."""
        if self.every_n_inner_iters(batch_idx, self.interval):
            self._check(runner)

    def after_train_epoch(self, runner) -> None:
        """Report and check."""
        for line in self._check(runner):
            runner.logger.info(line)

    def _check(self, runner) -> list[str]:
        """A line for each source. Raises ValueError above the limit, on all ranks."""
        datasets = list(nested_datasets(runner.train_dataloader.dataset, 'pictures'))
        counts = torch.tensor([dataset.pictures.get() for dataset in datasets])
        all_reduce(counts)
        lines = []
        for dataset, (tried, bad) in zip(datasets, counts.tolist()):
            share = bad / max(tried, 1)
            lines.append(f'{dataset.ann_file}: {bad} of {tried} pictures unusable ({share:.2%}), their pairs skipped')
            if share > self.max_share:
                raise ValueError(f'{lines[-1]}; the limit is max_share={self.max_share:.2%}')
        return lines
