"""SAMM, DGM⁴+ and MDSM need settings, no code: files of their shapes load with the configs."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmvlforge.registry import DATASETS

CONFIGS = Path(__file__).parents[2] / 'configs'
SAMM = [
    dict(
        text="Sad Ann Lee, whose letter moved Bob Roy to cancel Al Poe's visa, was clearly upset.",
        fake_cls='attribute_manipulation',
        image='emotion_jpg/65039.jpg',
        id=13,
        fake_image_box=[5, 9, 29, 27],
        cap_texts={'Ann Lee': 'Ann Lee Gender: Female, Occupation: Politician.'},
        cap_images={'Ann Lee': 'Ann Lee'},
        idx_cap_texts=[1, 0],
        idx_cap_images=[1, 0],
        fake_text_pos=[0, 11, 13, 14, 15],
    ),
    dict(
        text='"No," said Bob Roy; it\'s over.',
        fake_cls='swap_manipulation',
        image='swap_jpg/1.jpg',
        id=14,
        fake_image_box=[1, 2, 30, 20],
        fake_text_pos=[2, 3],
    ),
    dict(
        text='The U.S. team - at home.',
        fake_cls='orig',
        image='orig_output/2.jpg',
        id=15,
        fake_image_box=[],
        fake_text_pos=[],
    ),
]
FACES = [[5, 5, 20, 20]]
DGM4_PLUS = [
    dict(
        id=1,
        image='origin/generated/0a.jpg',
        text='Leeds: a mayor meets aides, on a sea of glass',
        fake_cls='origin',
        fake_image_box=[],
        fake_text_pos=[],
        mtcnn_boxes=FACES,
    ),
    dict(
        id=2,
        image='manipulation/text_attribute/0b.jpg',
        text='A mayor appears anxious',
        fake_cls='text_attribute',
        fake_image_box=[],
        fake_text_pos=[2, 3],
        mtcnn_boxes=FACES,
    ),
    dict(
        id=3,
        image='manipulation/text_swap/0c.jpg',
        text='A chef opens a bar',
        fake_cls='face_swap&text_swap',
        fake_image_box=[5, 5, 20, 20],
        fake_text_pos=[1],
        mtcnn_boxes=FACES,
    ),
]


@pytest.fixture
def load(write_set, tokenizer):
    """The three data sets of a config, with the files' place and the tokenizer replaced."""

    def build(config, records):
        cfg = Config.fromfile(CONFIGS / config)
        sets = []
        for split in ('train', 'val', 'test'):
            settings = cfg[f'{split}_dataloader'].dataset
            assert split in settings.ann_file
            root = write_set(records, settings.ann_file)
            settings.update(data_root=str(root), pipeline=[tokenizer, *settings.pipeline[1:]])
            sets.append(DATASETS.build(settings))
        return sets

    return build


def types(item):
    return int(item['targets']['image_type']), int(item['targets']['text_type'])


def words(item):
    """Words with a manipulated token."""
    sample = item['data_samples']
    return sorted({w for w, label in zip(sample.word_ids, sample.gt_tokens.tolist()) if label})


def test_samm(load):
    for dataset in load('samm/dca_imq_samm.py', SAMM):
        dataset.pipeline.transforms[0].max_length = 200
        items = [dataset[row] for row in range(3)]
        assert [types(item) for item in items] == [(2, 2), (1, 1), (0, 0)]
        assert [words(item) for item in items] == [[0, 11, 13, 14, 15], [2, 3], []]
        for record, item in zip(SAMM, items):
            sample = item['data_samples']
            assert sample.text == record['text']  # punctuation and case are kept
            # A token for each character of a word and one for the space before it.
            assert len(sample.word_ids) == len(record['text']) + 1
            assert (sample.gt_box is None) == (record['fake_cls'] == 'orig')
            assert item['inputs']['image'].shape == (3, 256, 256)


def test_dgm4_plus(load):
    for dataset in load('dgm4_plus/dca_imq_dgm4_plus.py', DGM4_PLUS):
        items = [dataset[row] for row in range(3)]
        assert [types(item) for item in items] == [(0, 0), (0, 2), (1, 1)]
        assert [int(item['targets']['fake']) for item in items] == [0, 1, 1]
        assert [words(item) for item in items] == [[], [2, 3], [1]]


def test_dgm4s_name_of_the_real_class_is_unknown_to_dgm4_plus(load):
    with pytest.raises(ValueError, match="record 0, field 'fake_cls': 'orig' is unknown"):
        load('dgm4_plus/dca_imq_dgm4_plus.py', [dict(DGM4_PLUS[0], fake_cls='orig')])


def test_mdsm_has_no_word_positions(build, record):
    """Neither the field nor agreement between class and words is asked for."""
    records = [record(image='a.png', fake_cls='text_swap'), record(image='b.png')]
    for fields in records:
        del fields['fake_text_pos']
    dataset = build(records, [dict(type='LoadImage'), dict(type='PackManipulationInputs')], word_field=None)
    assert [types(dataset[row]) for row in range(2)] == [(0, 1), (0, 0)]
    item = dataset[0]
    assert set(item['targets']['tokens'].tolist()) == {-100}, 'unknown words must not be taught as real'
    assert 'gt_tokens' not in item['data_samples']


def test_a_set_without_boxes_under_other_field_names(build, record):
    row = record(image='a.png', fake_cls='face_attribute&text_swap', positions=[1])
    del row['fake_image_box'], row['fake_text_pos']
    dataset = build(
        [row],
        [dict(type='LoadImage'), dict(type='PackManipulationInputs')],
        box_field=None,
        word_field='positions',
    )
    item = dataset[0]
    assert types(item) == (2, 1) and words(item) == [1]
    assert not item['targets']['has_box'] and 'gt_box' not in item['data_samples']


def test_own_type_names(build, record):
    dataset = build(
        [record(image='a.png', fake_cls='scene', fake_image_box=[0, 0, 40, 30])],
        [dict(type='LoadImage'), dict(type='PackManipulationInputs')],
        class_map=dict(scene=('background', 'real')),
        image_types=('real', 'background'),
    )
    assert types(dataset[0]) == (1, 0)
    assert dataset.metainfo['image_types'] == ('real', 'background')
