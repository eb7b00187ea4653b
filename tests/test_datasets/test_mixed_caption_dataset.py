"""Sources by size and by weight, and the same pairs after a resume."""

import json
from collections import Counter

import pytest
from torch.utils.data import DataLoader

from mmvlforge.datasets import MixedCaptionDataset, vl_collate


@pytest.fixture
def mix(tmp_path, save_pictures, caption_pipeline):
    """Sources of 3, 10 and 4 pairs; a pair's picture names its source."""
    save_pictures('0.png', '1.png', '2.png')
    sources = []
    for number, size in enumerate((3, 10, 4)):
        pairs = [{'image': f'{number}.png', 'caption': 'a' + ' dog' * i} for i in range(size)]
        (tmp_path / f'{number}.json').write_text(json.dumps(pairs))
        source = dict(type='CaptionDataset', data_root=str(tmp_path), ann_file=f'{number}.json')
        sources.append(dict(source, reader=dict(type='albef')))
    return lambda **settings: MixedCaptionDataset(sources, caption_pipeline, **settings)


def located(dataset, epoch=0):
    dataset.seed_epoch(0, epoch)
    return [dataset.locate(i) for i in range(len(dataset))]


def test_by_size_an_epoch_is_every_pair_once(mix):
    dataset = mix()
    assert len(dataset) == 17
    for epoch in range(3):
        found = located(dataset, epoch)
        assert Counter(source for source, _ in found) == {0: 3, 1: 10, 2: 4}
        assert len(set(found)) == 17


def test_by_weight(mix):
    found = located(mix(weights=[1, 1, 2], size=40))
    assert Counter(source for source, _ in found) == {0: 10, 1: 10, 2: 20}
    counts = Counter(found)
    assert {counts[0, i] for i in range(3)} == {3, 4} and {counts[1, i] for i in range(10)} == {1}
    assert {counts[2, i] for i in range(4)} == {5}


def test_every_pair_comes_equally_often_over_the_epochs(mix):
    dataset = mix(weights=[0, 1, 1], size=6)
    counts = Counter(pair for epoch in range(20) for pair in located(dataset, epoch))
    assert counts == {**{(1, i): 6 for i in range(10)}, **{(2, i): 15 for i in range(4)}}
    first = {number for source, number in located(dataset) if source == 1}
    assert max(first) - min(first) > 3  # not the head of the file


@pytest.mark.parametrize(('weights', 'size'), [([0.1, 0.2, 0.3], 100), ([1, 1, 1], 10), ([5, 0, 1], 7), (None, 5)])
def test_an_epoch_is_as_long_as_asked(mix, weights, size):
    dataset = mix(weights=weights, size=size)
    assert len(dataset) == len(located(dataset)) == size
    with pytest.raises(IndexError):
        dataset[size]


def test_same_pairs_for_any_number_of_workers_and_after_a_resume(mix):
    def read(dataset, epoch, workers=0):
        dataset.seed_epoch(7, epoch)
        loader = DataLoader(dataset, 4, num_workers=workers, collate_fn=vl_collate)
        return [(s.img_paths, s.captions) for batch in loader for s in batch['data_samples']]

    settings = dict(weights=[1, 2, 1], size=12)
    whole = mix(**settings)
    epochs = [read(whole, epoch) for epoch in range(3)]
    assert epochs[1] != epochs[2]
    for workers in (0, 1, 2):
        assert read(mix(**settings), 2, workers) == epochs[2]


def test_a_pair_that_comes_twice_looks_different(mix, caption_pipeline):
    caption_pipeline.insert(1, dict(type='FlipWithCaptions', prob=0.5))
    caption_pipeline.insert(
        2, dict(type='ForEachImage', transforms=[dict(type='mmpretrain.RandomCrop', crop_size=4, padding=4)])
    )
    dataset = mix(weights=[1, 0, 0], size=12)
    dataset.seed_epoch(0, 0)
    looks = {}
    for i in range(12):
        looks.setdefault(dataset.locate(i), set()).add(dataset[i]['inputs']['image'].numpy().tobytes())
    assert all(len(found) > 1 for found in looks.values())


@pytest.mark.parametrize('weights', [[1, 2], [1, -1, 1], [0, 0, 0]])
def test_wrong_weights(mix, weights):
    with pytest.raises(ValueError, match='must be 3 numbers >= 0'):
        mix(weights=weights)


def test_lazily(mix, tmp_path):
    dataset = mix(lazy_init=True)
    assert not dataset.datasets[0]._fully_initialized
    dataset.full_init()
    assert len(dataset) == 17 and dataset[0]['data_samples'].img_paths == [str(tmp_path / '0.png')]
