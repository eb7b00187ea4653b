import pytest
import torch

from mmvlforge.reports.manipulation import build_sample, prediction_error, select_samples
from mmvlforge.structures import VLDataSample

RECORD = dict(
    image='DGM4/a.jpg', text='one two three', fake_cls='face_swap&text_attribute', fake_image_box=[0, 0, 10, 10],
    fake_text_pos=[1],
)  # fmt: skip
PREDICTION = dict(
    index=4, fake_score=0.75, type_scores=[1.0, -1.0, -2.0, 2.0], box=[0, 0, 10, 5], word_ids=[0, 1, 1, 2],
    fake_tokens=[0, 1, 0, 0],
)  # fmt: skip


def test_build_sample():
    sample = build_sample(4, RECORD, PREDICTION, 'root')
    assert sample.img_path == 'root/DGM4/a.jpg'
    assert (sample.gt_fake, sample.gt_image_type, sample.gt_text_type) == (1, 1, 2)
    assert sample.gt_tokens.tolist() == [0, 1, 1, 0]
    assert sample.gt_box.tolist() == [0, 0, 10, 10]
    assert sample.pred_box.tolist() == [0, 0, 10, 5]
    real = build_sample(
        0, dict(RECORD, fake_cls='orig', fake_image_box=[], fake_text_pos=[]), dict(PREDICTION, box=None)
    )
    assert (real.gt_fake, real.gt_box, real.pred_box) == (0, None, None)
    assert 'img_path' not in real.metainfo


def test_prediction_error_adds_its_three_parts():
    # verdict 0.25, box 1 - 0.5, tokens 1 - 2/3
    assert prediction_error(build_sample(4, RECORD, PREDICTION)) == pytest.approx(0.25 + 0.5 + 1 / 3)
    real = dict(RECORD, fake_cls='orig', fake_image_box=[], fake_text_pos=[])
    perfect = dict(PREDICTION, fake_score=0.0, box=None, fake_tokens=[0, 0, 0, 0])
    assert prediction_error(build_sample(0, real, perfect)) == 0
    assert prediction_error(build_sample(0, real, dict(PREDICTION, fake_score=1.0))) == 3
    assert prediction_error(build_sample(0, RECORD, perfect)) == 3


def test_missing_parts_add_nothing():
    sample = VLDataSample(metainfo=dict(index=0))
    assert prediction_error(sample) == 0
    sample.gt_fake, sample.pred_fake_score = 0, 0.5
    sample.pred_tokens = torch.ones(3)
    assert prediction_error(sample) == 0.5


def test_select_samples():
    classes = ['a', 'a', 'a', 'a', 'a', 'b', 'b', 'b']
    errors = [0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 2.0, 1.0]
    # middle of a: 0.5 (row 0), of b: 1.0 (row 7); the two worst left are rows 6 and 2; best by turns rows 1 and 5
    assert select_samples(classes, errors, 6) == dict(typical=[0, 7], worst=[6, 2], best=[1, 5])
    assert select_samples(classes, errors, 1) == dict(typical=[0], worst=[], best=[])
    assert select_samples(classes, errors, 0) == dict(typical=[], worst=[], best=[])
    assert sorted(sum(select_samples(classes, errors, 99).values(), [])) == list(range(8))
