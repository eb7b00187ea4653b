"""Tar shards: the split over ranks and workers, mixing, bad samples, and resuming with both of MMEngine's loops."""

import io
import json
import sys
import tarfile
from collections import Counter

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from PIL import Image
from test_dgm4 import log_of
from torch.utils.data import DataLoader

from mmvlforge.datasets import WebCaptionDataset, vl_collate


def jpeg(number):
    file = io.BytesIO()
    Image.new('RGB', (8, 8), (number % 256, 0, 0)).save(file, 'jpeg')
    return file.getvalue()


def write_shard(path, samples):
    """Samples as img2dataset writes them: ``key.jpg``, ``key.txt``, ``key.json``."""
    with tarfile.open(path, 'w') as tar:
        for key, files in samples.items():
            for ending, data in files.items():
                info = tarfile.TarInfo(f'{key}.{ending}')
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def sample(number, **changes):
    files = dict(jpg=jpeg(number), txt=f'a {number}'.encode(), json=json.dumps(dict(key=number)).encode())
    return {ending: data for ending, data in {**files, **changes}.items() if data is not None}


@pytest.fixture
def shards(tmp_path):
    """Six shards of 5 to 10 samples, 45 in all, with the captions 'a 0' to 'a 44'."""
    number = 0
    for shard in range(6):
        size = 5 + shard
        samples = {f'{shard:05d}{i:04d}': sample(number + i) for i in range(size)}
        write_shard(tmp_path / f'{shard:05d}.tar', samples)
        number += size
    return str(tmp_path / '{00000..00005}.tar')


@pytest.fixture
def build(shards, caption_pipeline):
    def make(urls=shards, rank=0, world_size=1, **settings):
        dataset = WebCaptionDataset(urls, caption_pipeline, **{'shuffle_buffer': 8, **settings})
        dataset.rank, dataset.world_size = rank, world_size
        return dataset

    return make


def numbers(batches):
    return [int(s.captions[0].split()[1]) for batch in batches for s in batch['data_samples']]


def epoch_of(dataset, epoch=0, seed=0, workers=0, batch_size=3):
    dataset.seed_epoch(seed, epoch)
    return numbers(DataLoader(dataset, batch_size, num_workers=workers, collate_fn=vl_collate))


def test_items_are_those_of_other_sets(build):
    item = next(iter(build()))
    assert item['inputs']['image'].shape == (1, 3, 8, 8) and len(item['inputs']['input_ids']) == 1
    meta = item['data_samples']
    assert meta.img_paths[0].endswith('.jpg') and '.tar, sample 0000' in meta.img_paths[0]
    assert item['targets']['image_ids'] == meta.image_id


@pytest.mark.parametrize(('world_size', 'workers'), [(1, 0), (1, 2), (2, 1), (3, 2)])
def test_ranks_and_workers_share_the_shards_out(build, world_size, workers):
    """No sample is read by two workers, nor twice before a worker has used up its shards."""
    found = [epoch_of(build(rank=r, world_size=world_size, epoch_size=24), workers=workers) for r in range(world_size)]
    assert [len(f) for f in found] == [24 // world_size] * world_size
    assert len(set(sum(found, []))) == 24  # none twice


def test_an_epoch_longer_than_the_shards_starts_over(build):
    counts = Counter(epoch_of(build(epoch_size=90)))
    assert set(counts) == set(range(45)) and sum(counts.values()) == 90 and max(counts.values()) <= 3


def test_samples_are_mixed(build):
    found = epoch_of(build(epoch_size=45))
    assert found != sorted(found)
    in_shard = [a + 1 == b for a, b in zip(found, found[1:])]
    assert sum(in_shard) < 20  # 39 without a buffer


@pytest.mark.parametrize('workers', [0, 2])
def test_a_resumed_epoch_is_the_uninterrupted_one(build, workers):
    whole = build(epoch_size=24)
    epochs = [epoch_of(whole, epoch, workers=workers) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epoch_of(build(epoch_size=24), 2, workers=workers) == epochs[2]
    assert epoch_of(build(epoch_size=24), 2, seed=1, workers=workers) != epochs[2]


def test_workers_that_outlive_an_epoch(build):
    dataset = build(epoch_size=24)
    loader = DataLoader(dataset, 3, num_workers=2, persistent_workers=True, collate_fn=vl_collate)
    for epoch in range(2):
        dataset.seed_epoch(0, epoch)
        assert numbers(loader) == epoch_of(build(epoch_size=24), epoch, workers=2)


@pytest.mark.parametrize('workers', [0, 2])
def test_unusable_samples_are_left_out_and_counted(tmp_path, build, workers):
    bad = {
        1: dict(jpg=b'no picture'),
        3: dict(jpg=None),
        4: dict(txt=b' ?'),
        6: dict(txt=None),
        7: dict(jpg=jpeg(0)[:90]),
        8: dict(txt=b'a \xff'),
        9: dict(txt=b'a \0'),
    }
    for shard in (0, 1):
        samples = {f'{shard}{i:04d}': sample(12 * shard + i, **bad.get(i, {})) for i in range(12)}
        write_shard(tmp_path / f'bad{shard}.tar', samples)
    dataset = build([str(tmp_path / 'bad{0,1}.tar')], epoch_size=10)
    assert sorted(epoch_of(dataset, workers=workers)) == [0, 2, 5, 10, 11, 12, 14, 17, 22, 23]
    tried, unusable = dataset.pictures.get()
    assert tried - unusable == 10 and 7 <= unusable <= 14  # bad ones may follow the last good one


def test_a_damaged_header_is_counted(tmp_path, build):
    """Of ten samples one is lost, and the count says so; it once was all from the damage on, and nothing did."""
    write_shard(tmp_path / 'x.tar', {f'{i:04d}': sample(i) for i in range(10)})
    data = bytearray((tmp_path / 'x.tar').read_bytes())
    data[data.index(b'0004.txt') + 2] ^= 1
    (tmp_path / 'x.tar').write_bytes(data)
    dataset = build(str(tmp_path / 'x.tar'), epoch_size=9, shuffle_buffer=1)
    (found, lines) = log_of(lambda: epoch_of(dataset))
    assert found == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert dataset.pictures.get() == (11, 2)  # the place, and the sample that has no caption now
    assert any(f'{tmp_path / "x.tar"}, byte ' in line and 'behind 0004.jpg' in line for line in lines)
    assert any("sample 0004: has ['jpg', 'json'], must have" in line for line in lines)


def test_other_endings(tmp_path, build):
    png = io.BytesIO()
    Image.new('RGBA', (8, 8)).save(png, 'png')
    write_shard(tmp_path / 'x.tar', {'000': dict(PNG=png.getvalue(), caption=b'a 7')})
    dataset = build(str(tmp_path / 'x.tar'), caption_key='caption', epoch_size=1)
    assert epoch_of(dataset) == [7]


def test_what_cannot_go_on_stops(tmp_path, build, monkeypatch):
    with pytest.raises(ValueError, match='6 shards cannot be shared out among 7 workers of all ranks'):
        next(iter(build(world_size=7)))
    (tmp_path / 'cut.tar').write_bytes((tmp_path / '00001.tar').read_bytes()[:700])
    with pytest.raises(ValueError, match=r'shard cannot be read: .*cut\.tar'):
        next(iter(build(str(tmp_path / 'cut.tar'))))
    with pytest.raises(ValueError, match=r'shard cannot be read: .*none\.tar.*docs/data\.md says where'):
        next(iter(build(str(tmp_path / 'none.tar'))))
    write_shard(tmp_path / 'empty.tar', {})
    with pytest.raises(ValueError, match=r'no sample in .*empty\.tar'):
        next(iter(build(str(tmp_path / 'empty.tar'))))
    monkeypatch.setattr('mmvlforge.datasets.web_caption_dataset.MAX_IN_A_ROW', 30)
    write_shard(tmp_path / 'bad.tar', {'0': sample(0, jpg=b'')})
    with pytest.raises(ValueError, match=r'30 unusable samples in a row, the last is .*bad\.tar, sample 0'):
        next(iter(build(str(tmp_path / 'bad.tar'))))


def test_length(build):
    assert len(build(epoch_size=25, world_size=2)) == 12
    assert len(build()) == sys.maxsize  # endless


class Recorder(BaseModel):
    """Learns nothing, remembers the captions it saw."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, inputs, targets=None, data_samples=None, mode='loss'):
        self.seen.extend(int(s.captions[0].split()[1]) for s in data_samples)
        return dict(loss=self.weight.sum())


class Stop(Exception):
    pass


class StopAfter(Hook):
    priority = 'VERY_LOW'

    def __init__(self, step):
        self.step = step

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            raise Stop


@pytest.mark.parametrize(('by_epoch', 'workers'), [(True, 0), (False, 2)])
def test_a_resumed_run_goes_on_where_it_was_cut(shards, caption_pipeline, tmp_path, by_epoch, workers):
    """Three epochs of six steps, cut in the third; nine steps of an endless stream, cut after the checkpoint of the
    third."""
    steps = 3 if by_epoch else 9

    def run(work_dir, resume=False, stop=None):
        model = Recorder()
        runner = Runner(
            model,
            str(work_dir),
            train_dataloader=dict(
                batch_size=4,
                num_workers=workers,
                sampler=None,
                collate_fn=dict(type='mmvlforge.vl_collate'),
                dataset=dict(
                    type='WebCaptionDataset',
                    shards=shards,
                    pipeline=caption_pipeline,
                    epoch_size=24 if by_epoch else None,
                    shuffle_buffer=8,
                ),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=steps) if by_epoch else dict(by_epoch=False, max_iters=steps),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(
                epoch_seed=dict(type='EpochSeedHook'),
                checkpoint=dict(type='CheckpointHook', by_epoch=by_epoch, interval=1 if by_epoch else 3),
            ),
            custom_hooks=[StopAfter(stop)] if stop else [],
            log_processor=dict(by_epoch=by_epoch),
            default_scope='mmvlforge',
            experiment_name=f'{work_dir.name}{resume}',
            randomness=dict(seed=3),
            resume=resume,
        )
        if stop:
            with pytest.raises(Stop):
                runner.train()
        else:
            runner.train()
        return model.seen

    whole = run(tmp_path / 'whole')
    run(tmp_path / 'cut', stop=14 if by_epoch else 5)
    resumed = run(tmp_path / 'cut', resume=True)
    assert len(whole) == (72 if by_epoch else 36)
    assert resumed == whole[48:] if by_epoch else resumed == whole[12:]
