"""The record of one image-text pair."""

import pickle

import pytest
import torch

from mmvlforge.structures import VLDataSample


def make_sample():
    sample = VLDataSample(metainfo=dict(index=4, ori_shape=(60, 80), word_ids=[0, 1, 1]))
    sample.gt_fake = 1
    sample.gt_box = None
    sample.gt_tokens = torch.tensor([0, 1, 1])
    sample.pred_fake_score = 0.25
    sample.pred_box = torch.tensor([1.0, 2.0, 3.0, 4.0])
    return sample


def test_fields_come_back_under_their_public_names():
    sample = make_sample()
    assert sample.gt_fake == 1 and sample.gt_box is None and sample.pred_fake_score == 0.25
    assert set(sample.keys()) == {'gt_fake', 'gt_box', 'gt_tokens', 'pred_fake_score', 'pred_box'}
    assert sample.index == 4 and sample.metainfo['word_ids'] == [0, 1, 1]
    assert set(sample.to_dict()) == {*sample.keys(), 'index', 'ori_shape', 'word_ids'}
    assert sample.to_dict()['pred_box'].tolist() == [1, 2, 3, 4]


def test_absent_is_not_none():
    sample = make_sample()
    assert 'gt_box' in sample and 'gt_text_type' not in sample
    assert sample.get('flip', False) is False
    with pytest.raises(AttributeError):
        _ = sample.gt_text_type


def test_a_field_can_be_deleted_and_set_again():
    sample = make_sample()
    del sample.pred_box
    assert 'pred_box' not in sample and '_pred_box' not in sample.to_dict()
    sample.pred_box = None
    assert sample.pred_box is None and 'pred_box' in sample


@pytest.mark.parametrize(
    'field, value',
    [
        ('gt_fake', 1.0),
        ('gt_image_type', torch.tensor(1)),
        ('gt_text_type', 'text_swap'),
        ('gt_box', [1, 2, 3, 4]),
        ('gt_tokens', [0, 1]),
        ('pred_fake_score', 1),
        ('pred_type_scores', [0.1] * 4),
        ('pred_image_type', None),
        ('pred_text_type', 0.0),
        ('pred_box', (1, 2, 3, 4)),
        ('pred_tokens', None),
        ('pred_token_scores', 0.5),
    ],
)
def test_setters_are_typed(field, value):
    with pytest.raises(AssertionError, match='should be'):
        setattr(VLDataSample(), field, value)


def test_copies_and_pickles():
    sample = make_sample()
    for copy in (sample.clone(), pickle.loads(pickle.dumps(sample))):
        assert copy.to_dict().keys() == sample.to_dict().keys()
        assert torch.equal(copy.gt_tokens, sample.gt_tokens) and copy.gt_box is None
        copy.gt_fake = 0
    assert sample.gt_fake == 1
