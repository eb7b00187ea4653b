"""Pairs to train on, groups to evaluate on, and what happens to unusable pictures."""

import json

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from project import ROOT
from test_dgm4 import log_of
from torch.utils.data import DataLoader

from mmvlforge.datasets import CaptionDataset, RetrievalDataset, vl_collate
from mmvlforge.models import VLDataPreprocessor

RECORDS = [
    {'image': 'a.png', 'caption': ['A dog.', 'a cat runs', ' ?! ']},
    {'image': 'b.png', 'caption': 'cats', 'bbox': [2, 1, 5, 4]},
    {'image': 'b.png', 'caption': 'dogs'},
]


@pytest.fixture
def write(tmp_path, save_pictures):
    def run(records=RECORDS, name='ann.json', pictures=('a.png', 'b.png')):
        (tmp_path / name).write_text(records if isinstance(records, str) else json.dumps(records))
        save_pictures(*pictures)
        return str(tmp_path)

    return run


@pytest.fixture
def pairs(write, caption_pipeline):
    def run(records=RECORDS, **settings):
        return CaptionDataset(
            'ann.json', dict(type='albef'), data_root=write(records), pipeline=caption_pipeline, **settings
        )

    return run


def test_a_pair_for_each_caption(pairs, tmp_path):
    dataset, lines = log_of(pairs)
    assert len(dataset) == 4 and any('left out 1 captions without a word' in line for line in lines)
    items = list(map(dataset.__getitem__, range(4)))
    samples = [item['data_samples'] for item in items]
    assert [s.captions for s in samples] == [['a dog'], ['a cat runs'], ['cats'], ['dogs']]
    assert [s.img_paths for s in samples] == [[str(tmp_path / f'{n}.png')] for n in 'aabb']
    assert [s.index for s in samples] == [0, 1, 2, 3]
    assert items[2]['inputs']['image'].shape == (1, 3, 4, 5) and items[3]['inputs']['image'].shape == (1, 3, 8, 12)
    assert items[2]['inputs']['input_ids'][0].tolist() == [2, 7, 8, 3]
    assert (samples[0].num_images, samples[0].num_captions) == (1, 1)


def test_pairs_of_one_image_share_its_number(pairs):
    """In every set and every process; a region of a picture is a picture of its own."""
    dataset = pairs()
    ids = [dataset.get_data_info(i)['image_id'] for i in range(4)]
    assert ids[0] == ids[1] and len(set(ids)) == 3 and all(0 <= i < 2**63 for i in ids)
    again = pairs(list(reversed(RECORDS)))
    assert [again.get_data_info(i)['image_id'] for i in (2, 3, 1, 0)] == ids
    assert all(dataset[i]['targets']['image_ids'] == ids[i] for i in range(4))


def test_records_that_are_no_text_are_skipped_on_request(pairs):
    bad = [{'image': 'a\0.png', 'caption': 'a dog'}, {'image': 'a.png', 'caption': 'a \ud83d dog'}]
    with pytest.raises(ValueError, match=r"ann\.json, record 1, path: 'a\\x00\.png' holds NUL at letter 1"):
        pairs([RECORDS[1], *bad]).full_init()
    dataset, lines = log_of(lambda: pairs([RECORDS[1], *bad, RECORDS[2]], skip_bad_pictures=True))
    assert [dataset.get_data_info(i)['row'] for i in range(len(dataset))] == [0, 3]
    assert any('skipped 2 unusable records, the first is' in line and 'record 1, path' in line for line in lines)


def test_a_part_of_the_pairs(pairs):
    assert len(pairs(indices=2)) == 2
    assert pairs(indices=[3, 0]).get_data_info(0)['captions'] == ['dogs']


def test_groups_go_through_loader_and_preprocessor(write, caption_pipeline):
    root = write([{'image': 'a.png', 'caption': ['a dog', 'a cat', 'dogs']}, {'image': 'b.png', 'caption': ['a']}])
    dataset = RetrievalDataset('ann.json', dict(type='albef'), data_root=root, pipeline=caption_pipeline)
    (batch,) = DataLoader(dataset, batch_size=2, collate_fn=vl_collate)
    inputs = VLDataPreprocessor()(batch)['inputs']
    assert inputs.images.shape == (2, 3, 8, 12) and inputs.input_ids.shape == (4, 4)
    assert inputs.attention_mask.sum(1).tolist() == [4, 4, 4, 3]
    assert [(s.num_images, s.num_captions) for s in batch['data_samples']] == [(1, 3), (1, 1)]
    assert batch['targets'].image_ids.tolist() == [dataset.get_data_info(i)['image_id'] for i in (0, 1)]


def test_winoground_group_with_alpha(tmp_path, save_pictures, caption_pipeline):
    save_pictures('images/x_0.png', 'images/x_1.png', mode='RGBA')
    record = dict(image_0='x_0', image_1='x_1', caption_0='a dog', caption_1='a cat')
    (tmp_path / 'examples.jsonl').write_text(json.dumps(dict(record, collapsed_tag='Both', num_main_preds=2)))
    dataset = RetrievalDataset(
        'examples.jsonl', dict(type='winoground'), data_root=str(tmp_path), data_prefix=dict(img_path='images'),
        pipeline=caption_pipeline,
    )  # fmt: skip
    item = dataset[0]
    assert item['inputs']['image'][:, 0, 0, 0].tolist() == [0, 10] and len(item['inputs']['input_ids']) == 2
    assert (item['data_samples'].tag, item['data_samples'].num_main_preds) == ('Both', 2)


def test_indices_of_several_files_differ(tmp_path, caption_pipeline):
    for name in ('swap_obj', 'add_att'):
        record = dict(filename='a.png', caption='a', negative_caption='dog')
        (tmp_path / f'{name}.json').write_text(json.dumps({'0': record}))
    dataset = RetrievalDataset(
        str(tmp_path), dict(type='sugarcrepe'), data_prefix=dict(img_path=str(tmp_path)), pipeline=caption_pipeline
    )
    infos = [dataset.get_data_info(i) for i in (0, 1)]
    assert [(i['index'], i['category']) for i in infos] == [(0, 'add_att'), (1, 'swap_obj')]
    with pytest.raises(ValueError, match=r'record 0 of swap_obj\.json: picture .*a\.png cannot be read'):
        dataset[1]


def test_evaluation_names_what_is_wrong(write, caption_pipeline, tmp_path):
    def build(caption):
        root = write([{'image': 'a.png', 'caption': ['a', caption]}])
        return RetrievalDataset('ann.json', dict(type='albef'), data_root=root, pipeline=caption_pipeline)

    with pytest.raises(ValueError, match=r"ann\.json, record 0: no word in the caption '\?'"):
        build('?')
    dataset = build('dog')
    (tmp_path / 'a.png').write_bytes((tmp_path / 'a.png').read_bytes()[:40])
    with pytest.raises(ValueError, match=r'ann\.json, record 0: picture .*a\.png cannot be read'):
        dataset[0]


def test_training_stops_at_a_bad_picture_unless_told(pairs, tmp_path):
    dataset = pairs()
    (tmp_path / 'b.png').unlink()
    with pytest.raises(ValueError, match=r'ann\.json, record 2: picture .*b\.png cannot be read'):
        dataset[3]
    with pytest.raises(ValueError, match='training data only'):
        pairs(skip_bad_pictures=True, test_mode=True)


@pytest.mark.parametrize('workers', [0, 1, 3])
def test_bad_pictures_are_replaced_and_counted_exactly(pairs, tmp_path, workers):
    """The same pairs, and every picture tried is counted, whatever the number of workers."""
    dataset = pairs([{'image': f'{"ab"[i % 5 == 0]}.png', 'caption': 'a ' * (i + 1)} for i in range(20)],
                    skip_bad_pictures=True)  # fmt: skip
    (tmp_path / 'b.png').unlink()
    dataset.seed_epoch(0, 3)
    seen = [s.index for batch in DataLoader(dataset, 4, num_workers=workers, collate_fn=vl_collate)
            for s in batch['data_samples']]  # fmt: skip
    assert len(seen) == 20 and all(i % 5 for i in seen)
    assert [i for i in range(20) if i % 5] == [i for n, i in enumerate(seen) if n % 5]
    tried, bad = dataset.pictures.get()
    assert tried - bad == 20 and bad >= 4
    counts = dataset.pictures.get()
    dataset.pictures.clear()
    assert dataset.pictures.get() == (0, 0)
    again = [s.index for batch in DataLoader(dataset, 4, collate_fn=vl_collate) for s in batch['data_samples']]
    assert again == seen and dataset.pictures.get() == counts


def test_only_the_first_bad_pictures_are_named(pairs, tmp_path):
    dataset = pairs([{'image': 'a.png', 'caption': 'a'}, {'image': 'b.png', 'caption': 'a'}], skip_bad_pictures=True)
    (tmp_path / 'b.png').unlink()
    _, lines = log_of(lambda: [dataset[1] for _ in range(15)])
    assert len(lines) == 10 and 'record 1' in lines[0] and 'b.png' in lines[0]
    assert dataset.pictures.get()[1] >= 15


def test_empty_and_wrong_sets(write, pairs):
    with pytest.raises(ValueError, match='holds no pair'):
        pairs([{'image': 'a.png', 'caption': '.'}])
    root = write(json.dumps(dict(image_0='a', image_1='b', caption_0='a', caption_1='b', collapsed_tag='Object',
                                 num_main_preds=1)), 'w.jsonl')  # fmt: skip
    with pytest.raises(ValueError, match='record 0: 2 pictures, a training pair has one'):
        CaptionDataset('w.jsonl', dict(type='winoground'), data_root=root)


BASES = sorted(path.name for path in (ROOT / 'configs/_base_/datasets').glob('*.py') if 'dgm4' not in path.name)
BASES.remove('caption_augment.py')  # a part of others
EVALUATION = ['msrvtt.py', 'photos_224.py', 'photos_288.py', 'retrieval_256.py', 'winoground.py']  # no training set
EVALUATION += [name for name in BASES if name.startswith(('aro', 'sugarcrepe'))]


@pytest.mark.parametrize('name', BASES)
def test_base_configs_build(name):
    from mmvlforge.registry import DATASETS, METRICS

    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets' / name)
    assert ('train_dataloader' in cfg) == (name not in EVALUATION)
    loaders = [('train', 'train'), ('val', 'test'), ('test', 'test')]
    for loader, pipeline in loaders[name in EVALUATION :]:
        config = cfg[f'{loader}_dataloader'].dataset
        sources = config.get('datasets', [config])
        for source in sources if 'pipeline' not in config else [config]:
            assert source.pipeline == cfg[f'{pipeline}_pipeline']
            assert DATASETS.build(dict(source, lazy_init=True)).pipeline.transforms
        assert all('data_root' not in source or source.data_root for source in sources)
    assert cfg.val_evaluator == cfg.test_evaluator
    for metric in cfg.test_evaluator.metrics:
        METRICS.build(metric)


ALONE = [{'image': 'a.png', 'caption': []}, {'image': 'b.png', 'caption': 'a dog'}, {'image': 'a.png', 'caption': []}]


def test_pictures_without_captions_go_through_the_pipeline(write, caption_pipeline):
    root = write(ALONE)
    dataset = RetrievalDataset('ann.json', dict(type='albef'), data_root=root, pipeline=caption_pipeline)
    assert [item['data_samples'].num_captions for item in dataset] == [0, 1, 0]
    batch = vl_collate([dataset[0], dataset[2]])
    assert len(batch['inputs'].images) == 2 and batch['inputs'].input_ids.shape == (0, 0)


def test_training_pairs_without_captions_are_counted(pairs):
    dataset, lines = log_of(lambda: pairs(ALONE))
    assert len(dataset) == 1 and any('left out 2 pictures without a caption' in line for line in lines)


def test_a_group_stands_as_a_person_sees_it_and_its_box_in_the_stored_frame(write, caption_pipeline, tmp_path):
    """A red object in the box, in a picture that EXIF turns by a quarter."""
    img = np.zeros((40, 60, 3), np.uint8)
    img[5:15, 10:40, 0] = 255
    exif = Image.Exif()
    exif[274] = 6
    root = write([{'image': 'a.png', 'caption': 'a', 'bbox': [10, 5, 30, 10]}, {'image': 'a.png', 'caption': 'a'}])
    Image.fromarray(img).save(tmp_path / 'a.png', exif=exif)
    dataset = RetrievalDataset('ann.json', dict(type='albef'), data_root=root, pipeline=caption_pipeline)
    part, whole = (item['inputs']['image'][0] for item in dataset)
    assert part.shape == (3, 30, 10) and (part[2] == 255).all()  # BGR
    assert whole.shape == (3, 60, 40) and (whole[2, 10:40, 25:35] == 255).all() and whole[2].sum() == 255 * 300
