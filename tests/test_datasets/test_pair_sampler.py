"""Batches of real and forged records of the same photos."""

from collections import Counter

import pytest
from mmengine.dataset import ConcatDataset

from mmvlforge.datasets.pair_sampler import PairSampler
from mmvlforge.registry import DATA_SAMPLERS

KINDS = ('orig', 'face_swap', 'text_swap')


@pytest.fixture
def photos(build, record):
    """Data set of the photos named, with a record of each kind asked for: r real, f forged."""

    def of(kinds: dict[str, str]):
        text = dict(fake_image_box=[], fake_text_pos=[0], fake_cls='text_swap')
        real = dict(fake_image_box=[], fake_text_pos=[], fake_cls='orig')
        rows = [record(photo=photo, **(real if kind == 'r' else text)) for photo, all in kinds.items() for kind in all]
        return build(rows)

    return of


def pairs_of(dataset, sampler) -> list[tuple]:
    """(photo, whether forged) of each two."""
    infos = [dataset.get_data_info(index) for index in sampler]
    names = [(info['photo'], info['text_type'] > 0) for info in infos]
    return list(zip(names[::2], names[1::2]))


def test_each_pair_is_of_one_photo_and_each_epoch_another(photos):
    dataset = photos({'a': 'rrrff', 'b': 'fr', 'c': 'rf', 'd': 'r'})
    sampler = DATA_SAMPLERS.build(dict(type='PairSampler', dataset=dataset, seed=0))
    found = pairs_of(dataset, sampler)
    assert len(sampler) == 10 and sorted(sampler) == list(range(10)) == sorted(PairSampler(dataset, 0))
    assert list(sampler) == list(PairSampler(dataset, 0)) != list(PairSampler(dataset, 1))
    whole = Counter(first[0] for first, second in found if first[0] == second[0])
    assert whole == dict(a=2, b=1, c=1)
    assert all(not first[1] and second[1] for first, second in found if first[0] == second[0])
    (rest,) = [pair for pair in found if pair[0][0] != pair[1][0]]
    assert sorted(rest) == [('a', False), ('d', False)]

    orders = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        orders.append(frozenset(zip(*[iter(sampler)] * 2)))
    assert len(set(orders)) > 1


def test_an_odd_number_is_made_up_for(photos):
    dataset = photos({'a': 'rf', 'b': 'r'})
    sampler = PairSampler(dataset, 0)
    assert len(sampler) == 4 and Counter(sampler) == {0: 1, 1: 1, 2: 2}


def test_processes_share_the_pairs(photos, monkeypatch):
    dataset = photos(dict.fromkeys('abcde', 'rf'))
    seen = []
    for rank in range(2):
        monkeypatch.setattr('mmvlforge.datasets.pair_sampler.get_dist_info', lambda rank=rank: (rank, 2))
        sampler = PairSampler(dataset, 3)
        assert len(sampler) == 6 == len(list(sampler))
        assert all(first[0] == second[0] for first, second in pairs_of(dataset, sampler))
        seen += sampler
    assert set(seen) == set(range(10)) and len(seen) == 12


def test_photos_of_one_name_in_two_sets_are_two(photos):
    dataset = ConcatDataset([photos({'a': 'rf'}), photos({'a': 'rf'})])
    assert all(first // 2 == second // 2 for first, second in zip(*[iter(PairSampler(dataset, 0))] * 2))


def test_records_of_no_photo(build, record):
    with pytest.raises(ValueError, match=r'record 0 .*has no "photo".*take DefaultSampler'):
        PairSampler(build([record()]), 0)
