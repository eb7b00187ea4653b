"""Report pictures that training data sets leave out, stop where there are too many, and report cut boxes."""

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from mmvlforge.datasets.nested_datasets import nested_datasets
from mmvlforge.registry import HOOKS


@HOOKS.register_module()
class SkippedPictureHook(Hook):
    """Log at the end of each training epoch how many pictures of each source were unusable, over all ranks.

    Of sets with boxes, also how many boxes reached beyond their picture and were cut there, in validation and test too;
    nothing where there was none.

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
        _clear_cuts(runner.train_dataloader)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Check now and then: an epoch on web pictures can take days."""
        if self.every_n_inner_iters(batch_idx, self.interval):
            self._check(runner)

    def after_train_epoch(self, runner) -> None:
        """Report and check."""
        for line in self._check(runner):
            runner.logger.info(line)
        _report_cuts(runner, runner.train_dataloader)

    def before_val_epoch(self, runner) -> None:
        """Count from zero."""
        _clear_cuts(runner.val_dataloader)

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Report boxes."""
        _report_cuts(runner, runner.val_dataloader)

    def before_test_epoch(self, runner) -> None:
        """Count from zero."""
        _clear_cuts(runner.test_dataloader)

    def after_test_epoch(self, runner, metrics=None) -> None:
        """Report boxes."""
        _report_cuts(runner, runner.test_dataloader)

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


def _clear_cuts(loader) -> None:
    for dataset in nested_datasets(loader.dataset, 'cut_boxes'):
        dataset.cut_boxes.clear()


def _report_cuts(runner, loader) -> None:
    for dataset in nested_datasets(loader.dataset, 'cut_boxes'):
        counts = torch.tensor(dataset.cut_boxes.get())
        all_reduce(counts)
        tried, cut = counts.tolist()
        if cut:
            runner.logger.info(
                f'{dataset.ann_file}: {cut} boxes in {tried} pictures reached beyond the edge, cut there'
            )
