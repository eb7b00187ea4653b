"""Augmentation depends on seed, epoch and index alone."""

import pytest
import torch
from torch.utils.data import DataLoader

PIPELINE = [
    dict(type='LoadImage'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='mmpretrain.RandAugment',
        policies=[dict(type='mmpretrain.Brightness', magnitude_range=(0, 0.9)), dict(type='mmpretrain.AutoContrast')],
        num_policies=2,
        magnitude_level=7,
    ),
    dict(type='PackManipulationInputs'),
]


def images(dataset, **loader):
    loader = DataLoader(dataset, batch_size=4, collate_fn=list, **loader)
    return torch.stack([item['inputs']['image'] for batch in loader for item in batch])


@pytest.fixture
def make(build, record):
    records = [record(image=f'{number}.png') for number in range(12)]
    return lambda: build(records, PIPELINE)


def test_same_items_for_any_number_of_workers_and_after_a_resume(make):
    dataset = make()
    epochs = []
    for epoch in range(3):
        dataset.seed_epoch(5, epoch)
        epochs.append(images(dataset))
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[1], epochs[2])

    resumed = make()  # another process would start like this, at epoch 2
    resumed.seed_epoch(5, 2)
    for workers in (0, 1, 2):
        assert torch.equal(images(resumed, num_workers=workers), epochs[2])


def test_workers_that_outlive_an_epoch_hear_of_the_next(make):
    dataset = make()
    loader = DataLoader(dataset, batch_size=4, collate_fn=list, num_workers=2, persistent_workers=True)
    for epoch in range(3):
        dataset.seed_epoch(5, epoch)
        found = torch.stack([item['inputs']['image'] for batch in loader for item in batch])
        assert torch.equal(found, images(dataset))


def test_order_of_reading_does_not_matter(make):
    dataset = make()
    dataset.seed_epoch(0, 0)
    forth = [dataset[i]['inputs']['image'] for i in range(6)]
    back = [dataset[i]['inputs']['image'] for i in reversed(range(6))]
    assert all(torch.equal(a, b) for a, b in zip(forth, reversed(back)))


def test_other_seeds_differ_and_no_seed_means_no_seeding(make):
    dataset = make()
    dataset.seed_epoch(0, 0)
    first = images(dataset)
    dataset.seed_epoch(1, 0)
    assert not torch.equal(images(dataset), first)
    fresh = make()
    assert not torch.equal(images(fresh), images(fresh))
