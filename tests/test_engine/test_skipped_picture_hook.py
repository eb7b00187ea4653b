"""Counts of unusable pictures, and the limit."""

import logging
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset

from mmvlforge.datasets.worker_state import PictureCounts
from mmvlforge.engine import SkippedPictureHook


class Source(Dataset):
    """Pictures of which some are bad."""

    def __init__(self, name, good, bad):
        self.ann_file, self.pictures, self.plan = name, PictureCounts(), [''] * good + ['broken'] * bad

    def __len__(self):
        return len(self.plan)

    def __getitem__(self, idx):
        self.pictures.add(self.plan[idx])
        return idx


def runner_of(*sources):
    lines = []
    logger = SimpleNamespace(info=lines.append)
    loader = torch.utils.data.DataLoader(ConcatDataset(sources), batch_size=7, num_workers=2)
    return SimpleNamespace(train_dataloader=loader, logger=logger), lines


def test_each_source_is_reported_after_each_epoch(caplog):
    caplog.set_level(logging.ERROR)
    runner, lines = runner_of(Source('a.tsv', 95, 5), Source('b.json', 40, 0))
    hook = SkippedPictureHook()
    for _ in range(2):
        hook.before_train_epoch(runner)
        list(runner.train_dataloader)
        hook.after_train_epoch(runner)
    expected = ['a.tsv: 5 of 100 pictures unusable (5.00%), their pairs skipped',
                'b.json: 0 of 40 pictures unusable (0.00%), their pairs skipped']  # fmt: skip
    assert lines == 2 * expected


def test_too_many_stop_training():
    runner, lines = runner_of(Source('a.tsv', 95, 0), Source('b.tsv', 8, 2))
    list(runner.train_dataloader)
    SkippedPictureHook(max_share=0.2).after_train_epoch(runner)
    with pytest.raises(ValueError, match=r'b\.tsv: 2 of 10 pictures unusable \(20\.00%\).*max_share=19\.00%'):
        SkippedPictureHook(max_share=0.19).after_train_epoch(runner)


def test_an_epoch_is_not_waited_for():
    runner, _ = runner_of(Source('a.tsv', 0, 10))
    list(runner.train_dataloader)
    hook = SkippedPictureHook(interval=3)
    hook.after_train_iter(runner, 0)
    hook.after_train_iter(runner, 1)
    with pytest.raises(ValueError, match='10 of 10'):
        hook.after_train_iter(runner, 2)


def test_ranks_add_up(monkeypatch):
    def all_reduce(counts):
        counts += torch.tensor([[90, 30]])

    monkeypatch.setattr('mmvlforge.engine.hooks.skipped_picture_hook.all_reduce', all_reduce)
    runner, lines = runner_of(Source('a.tsv', 10, 0))
    list(runner.train_dataloader)
    SkippedPictureHook(max_share=0.3).after_train_epoch(runner)
    assert lines == ['a.tsv: 30 of 100 pictures unusable (30.00%), their pairs skipped']


class Boxed(Source):
    """Boxes of which some are cut."""

    def __init__(self, name, inside, cut):
        super().__init__(name, inside + cut, 0)
        self.cut_boxes, self.cuts = PictureCounts('cut'), [''] * inside + ['outside'] * cut

    def __getitem__(self, idx):
        self.cut_boxes.add(self.cuts[idx])
        return super().__getitem__(idx)


@pytest.mark.parametrize('loop', ['train', 'val', 'test'])
def test_cut_boxes_are_reported_after_each_epoch_of_any_loop(loop):
    runner, lines = runner_of(Boxed('a.json', 20, 3), Boxed('b.json', 9, 0))
    setattr(runner, f'{loop}_dataloader', runner.train_dataloader)
    hook = SkippedPictureHook()
    for _ in range(2):
        getattr(hook, f'before_{loop}_epoch')(runner)
        list(runner.train_dataloader)
        getattr(hook, f'after_{loop}_epoch')(runner)
    told = [line for line in lines if 'cut' in line]
    assert told == 2 * ['a.json: 3 boxes in 23 pictures reached beyond the edge, cut there']


def test_wrong_limit():
    with pytest.raises(ValueError, match='max_share must be between 0 and 1, got 20'):
        SkippedPictureHook(max_share=20)
