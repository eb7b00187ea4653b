"""Samples of joined rows, and how wrong a sample's prediction is."""

import pytest
import torch

from mmvlforge.annotations import RecordFormat, dgm4_class_map
from mmvlforge.evaluation.samples import joined_sample, prediction_error, prediction_row
from mmvlforge.evaluation.scoring import join
from mmvlforge.structures import VLDataSample

RECORD = dict(
    image='DGM4/a.jpg', text='one two three', fake_cls='face_swap&text_attribute', fake_image_box=[0, 0, 10, 10],
    fake_text_pos=[1],
)  # fmt: skip
REAL = dict(RECORD, fake_cls='orig', fake_image_box=[], fake_text_pos=[])
TYPES = ('face_swap', 'face_attribute', 'text_swap', 'text_attribute')
PREDICTION = dict(
    index=0, fake_score=0.75, type_scores=[1.0, -1.0, -2.0, 2.0], box=[0, 0, 10, 5], word_ids=[0, 1, 1, 2],
    fake_tokens=[0, 1, 0, 0],
)  # fmt: skip


def joined(record, prediction, fmt=None, image_root=None):
    return joined_sample(join([record], [prediction], fmt), 0, image_root)


def test_joined_sample():
    rows = join([REAL, RECORD], [dict(PREDICTION, index=1), dict(PREDICTION, box=None)])
    sample = joined_sample(rows, 1, 'root')
    assert (sample.index, sample.text, sample.fake_cls) == (1, RECORD['text'], RECORD['fake_cls'])
    assert sample.img_path == 'root/DGM4/a.jpg'
    assert (sample.gt_fake, sample.gt_image_type, sample.gt_text_type) == (1, 1, 2)
    assert sample.gt_tokens.tolist() == [0, 1, 1, 0]
    assert sample.gt_box.tolist() == [0, 0, 10, 10]
    assert sample.pred_box.tolist() == [0, 0, 10, 5]
    real = joined_sample(rows, 0)
    assert (real.gt_fake, real.gt_box, real.pred_box) == (0, None, None)
    assert 'img_path' not in real.metainfo
    assert prediction_row({**sample.metainfo, **dict(sample.items())}, TYPES) == dict(
        PREDICTION, index=1, type_scores=dict(zip(TYPES, PREDICTION['type_scores']))
    )


def test_what_a_set_does_not_say_is_left_out():
    record = {key: RECORD[key] for key in ('image', 'text', 'fake_cls')}
    sample = joined(record, PREDICTION)
    assert 'gt_box' not in sample and 'gt_tokens' not in sample
    assert prediction_error(sample) == 0.25


def test_what_a_model_has_no_head_for_is_left_out():
    verdict = dict(index=0, fake_score=0.75)
    sample = joined(RECORD, verdict)
    assert [field for field in sample.keys() if field.startswith('pred')] == ['pred_fake_score']  # noqa: SIM118
    assert (sample.word_ids, sample.gt_tokens.tolist()) == ([0, 1, 2], [0, 1, 0])  # the truth is still drawn
    assert prediction_error(sample) == 0.25
    assert prediction_row({**sample.metainfo, **dict(sample.items())}, TYPES) == verdict


def test_types_are_numbered_as_the_format_says():
    classes = dict(orig=('real', 'real'), swap_manipulation=('face_swap', 'text_swap'))
    sample = joined(
        dict(RECORD, fake_cls='swap_manipulation'), dict(PREDICTION, type_scores=[1, 1]), RecordFormat(classes)
    )
    assert (sample.gt_image_type, sample.gt_text_type) == (1, 1)
    assert sample.pred_type_scores.tolist() == [1, 1]
    named = dict(PREDICTION, type_scores=dict(zip(TYPES, PREDICTION['type_scores'])))
    plus = joined(dict(REAL, fake_cls='origin'), named, RecordFormat(dgm4_class_map('origin')))
    assert (plus.gt_fake, plus.gt_image_type, plus.gt_text_type) == (0, 0, 0)


def test_prediction_error_adds_its_three_parts():
    # verdict 0.25, box 1 - 0.5, tokens 1 - 2/3
    assert prediction_error(joined(RECORD, PREDICTION)) == pytest.approx(0.25 + 0.5 + 1 / 3)
    perfect = dict(PREDICTION, fake_score=0.0, box=None, fake_tokens=[0, 0, 0, 0])
    assert prediction_error(joined(REAL, perfect)) == 0
    assert prediction_error(joined(REAL, dict(PREDICTION, fake_score=1.0))) == 3
    assert prediction_error(joined(RECORD, perfect)) == 3


def test_a_box_is_judged_by_its_part_inside_the_picture():
    """As people see it. The prediction keeps it as it is."""
    beyond = dict(PREDICTION, fake_score=1.0, fake_tokens=[0, 1, 1, 0], box=[-10, 0, 10, 10])
    assert prediction_error(joined(RECORD, beyond)) == pytest.approx(0.5)
    sample = joined(RECORD, dict(beyond, size=[40, 30]))
    assert prediction_error(sample) == 0
    assert (sample.ori_shape, sample.pred_box.tolist()) == ((30, 40), [-10, 0, 10, 10])


def test_missing_parts_add_nothing():
    sample = VLDataSample(metainfo=dict(index=0))
    assert prediction_error(sample) == 0
    sample.gt_fake, sample.pred_fake_score = 0, 0.5
    sample.pred_tokens = torch.ones(3)
    assert prediction_error(sample) == 0.5
