"""Every epoch depends on the seed and its number alone."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader

from mmvlforge.datasets import SeededDataset, WebCaptionDataset
from mmvlforge.engine import EpochSeedHook
from mmvlforge.registry import HOOKS


def draw(results):
    """An augmentation that is nothing but chance, from both generators that transforms use."""
    return results['sample_idx'], random.random(), np.random.rand()


class ToyDataset(SeededDataset):
    def __init__(self, size=6, **kwargs):
        self.size = size
        super().__init__(pipeline=[draw], **kwargs)

    def load_data_list(self):
        return [dict(k=k) for k in range(self.size)]

    def get_cat_ids(self, idx):
        return [0 if idx == 0 else 1]


def runner_of(dataset, seed=0, epoch=0, **more):
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(seed=seed, epoch=epoch, train_dataloader=loader, **dict(train_loop=None, **more))


def one_epoch(dataset, **kwargs):
    EpochSeedHook().before_train_epoch(runner_of(dataset, **kwargs))
    return [dataset[k] for k in range(len(dataset))]


def test_draws_depend_on_seed_and_epoch_alone():
    first = one_epoch(ToyDataset(), seed=3, epoch=5)
    dataset = ToyDataset()
    one_epoch(dataset, seed=3, epoch=4)  # whatever came before
    random.random(), np.random.rand()
    assert one_epoch(dataset, seed=3, epoch=5) == first
    assert len({row[1:] for row in first}) == 6  # each item has its own
    for other in (dict(seed=3, epoch=6), dict(seed=4, epoch=5), dict(seed=5, epoch=3)):
        assert not {row[1:] for row in one_epoch(dataset, **other)} & {row[1:] for row in first}


def test_draws_do_not_depend_on_the_order_of_items():
    dataset = ToyDataset()
    forward = one_epoch(dataset, epoch=1)
    EpochSeedHook().before_train_epoch(runner_of(dataset, epoch=1))
    assert [dataset[k] for k in reversed(range(6))] == forward[::-1]


def first_step(seed=0, epoch=0, draws=0):
    """What the hook does up to the first step of an epoch, while starting the loader draws some numbers."""
    hook, runner = EpochSeedHook(), runner_of(None, seed, epoch)
    hook.before_train_epoch(runner)
    torch.rand(draws), np.random.rand(draws), [random.random() for _ in range(draws)]
    hook.before_train_iter(runner, 0)


def numbers():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_generators_of_the_process_are_seeded_at_the_first_step():
    first_step(0, 1)
    first = numbers()
    first_step(0, 1, draws=3)
    assert numbers() == first
    for other in ((0, 2), (1, 1)):
        first_step(*other)
        assert all(a != b for a, b in zip(first, numbers()))


def test_later_steps_are_not_seeded_again():
    first_step()
    first = numbers()
    EpochSeedHook().before_train_iter(runner_of(None), 1)
    assert all(a != b for a, b in zip(first, numbers()))


def test_without_epochs_each_step_is_seeded_and_data_must_be_a_stream():
    loop = object.__new__(IterBasedTrainLoop)
    hook, runner = EpochSeedHook(), runner_of(ToyDataset(), iter=7)
    runner.train_loop = loop
    drawn = []
    for runner.iter in (7, 8, 7):  # the last is the first of a run resumed there
        hook.before_train_iter(runner, runner.iter)
        drawn.append(numbers())
    assert drawn[0] == drawn[2] and all(a != b for a, b in zip(*drawn[:2]))
    with pytest.raises(
        ValueError, match='ToyDataset draws its augmentations by epoch, and IterBasedTrainLoop has none'
    ):
        hook.before_train(runner)
    runner.train_loop = None
    hook.before_train(runner)
    runner.train_loop, runner.train_dataloader.dataset = loop, WebCaptionDataset('{0..1}.tar', pipeline=[])
    hook.before_train(runner)


def test_dropout_masks_are_those_of_the_epoch():
    x, dropout = torch.ones(64), torch.nn.Dropout(0.5)
    masks = []
    for epoch in (2, 3, 2):
        first_step(epoch=epoch)
        masks.append(dropout(x))
    assert torch.equal(masks[0], masks[2]) and not torch.equal(masks[0], masks[1])


def test_processes_of_one_run_drop_out_differently(monkeypatch):
    draws = []
    for rank in (0, 1):
        monkeypatch.setattr('mmvlforge.engine.hooks.epoch_seed_hook.get_rank', lambda rank=rank: rank)
        first_step()
        draws.append(torch.rand(()).item())
    assert draws[0] != draws[1]


def test_without_the_hook_nothing_is_seeded():
    dataset = ToyDataset()
    assert dataset[0] != dataset[0]


@pytest.mark.parametrize(
    'wrap',
    [
        lambda inner: ConcatDataset([ToyDataset(), inner]),
        lambda inner: RepeatDataset(inner, times=2),
        lambda inner: ClassBalancedDataset(inner, oversample_thr=0.5),
        lambda inner: RepeatDataset(dict(type='ConcatDataset', datasets=[inner, ToyDataset()]), times=2),
    ],
    ids=['concat', 'repeat', 'class balanced', 'nested'],
)
def test_wrapped_datasets_are_reached(wrap):
    inner = ToyDataset()
    first = one_epoch(wrap(inner), epoch=1)
    assert inner.epoch_seed.get() == (0, 1)
    assert one_epoch(wrap(ToyDataset()), epoch=1) == first
    assert one_epoch(wrap(ToyDataset()), epoch=2) != first


@pytest.mark.parametrize('num_workers', [0, 2])
def test_a_resumed_epoch_is_the_uninterrupted_one(num_workers):
    def loader():
        workers = dict(num_workers=num_workers, persistent_workers=True) if num_workers else {}
        return DataLoader(ToyDataset(), batch_size=2, collate_fn=list, **workers)

    def read(data_loader, epoch):
        runner = runner_of(data_loader.dataset, seed=7, epoch=epoch)
        EpochSeedHook().before_train_epoch(runner)
        return [row for batch in data_loader for row in batch]

    uninterrupted = loader()
    epochs = [read(uninterrupted, epoch) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    torch.rand(5), np.random.rand(5), random.random()
    assert read(loader(), 2) == epochs[2]
    # The number of workers makes no difference either.
    assert one_epoch(ToyDataset(), seed=7, epoch=2) == epochs[2]


def test_hook_runs_first_and_is_registered():
    hook = HOOKS.build(dict(type='EpochSeedHook'))
    assert isinstance(hook, EpochSeedHook) and hook.priority == 'VERY_HIGH'
