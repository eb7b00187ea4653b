"""Collation: channel order, normalisation, padding, masks."""

import pytest
import torch

from mmvlforge.models import VLDataPreprocessor
from mmvlforge.structures import ManipulationTargets, VLInputs


def data_of(lengths=(5, 3), image=True, targets=True):
    inputs = dict(
        input_ids=[torch.arange(10, 10 + n) for n in lengths],
        word_mask=[torch.tensor([False] + [True] * (n - 2) + [False]) for n in lengths],
    )
    if image:  # one colour: blue 10, green 20, red 30
        inputs['image'] = [torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1).repeat(1, 4, 6) for _ in lengths]
    data = dict(inputs=inputs, data_samples=['a', 'b'][: len(lengths)])
    if targets:
        data['targets'] = dict(
            fake=[torch.tensor(1), torch.tensor(0)],
            image_type=[torch.tensor(2), torch.tensor(0)],
            text_type=[torch.tensor(1), torch.tensor(0)],
            box=[torch.tensor([0.5, 0.5, 0.2, 0.2]), torch.zeros(4)],
            has_box=[torch.tensor(True), torch.tensor(False)],
            tokens=[torch.tensor([-100, 1, 0, 1, -100]), torch.tensor([-100, 0, -100])],
        )
    return data


def test_images_become_normalised_rgb():
    images = VLDataPreprocessor()(data_of())['inputs'].images
    # (30 / 255 - .48145466) / .26862954, (20 / 255 - .4578275) / .26130258, (10 / 255 - .40821073) / .27577711
    expected = torch.tensor([-1.3543097, -1.4519418, -1.3380191]).view(1, 3, 1, 1).expand(2, 3, 4, 6)
    assert images.dtype == torch.float32 and images.is_contiguous()
    torch.testing.assert_close(images, expected, atol=1e-6, rtol=0)


def test_own_mean_and_std():
    images = VLDataPreprocessor(mean=(0, 0, 0), std=(1 / 255, 1 / 255, 2 / 255))(data_of())['inputs'].images
    torch.testing.assert_close(images[0, :, 0, 0], torch.tensor([30.0, 20.0, 5.0]))


def test_normalisation_does_not_enter_checkpoints():
    assert VLDataPreprocessor().state_dict() == {}


def test_captions_are_padded_to_the_longest():
    batch = VLDataPreprocessor()(data_of())
    inputs, targets = batch['inputs'], batch['targets']
    assert isinstance(inputs, VLInputs) and isinstance(targets, ManipulationTargets)
    assert inputs.input_ids.tolist() == [[10, 11, 12, 13, 14], [10, 11, 12, 0, 0]]
    assert inputs.attention_mask.tolist() == [[True] * 5, [True] * 3 + [False] * 2]
    assert inputs.word_mask.tolist() == [[False, True, True, True, False], [False, True, False, False, False]]
    assert inputs.word_mask.dtype == inputs.attention_mask.dtype == torch.bool
    assert targets.tokens.tolist() == [[-100, 1, 0, 1, -100], [-100, 0, -100, -100, -100]]
    assert targets.fake.tolist() == [1, 0] and targets.image_type.tolist() == [2, 0]
    assert targets.text_type.tolist() == [1, 0] and targets.has_box.tolist() == [True, False]
    torch.testing.assert_close(targets.box, torch.tensor([[0.5, 0.5, 0.2, 0.2], [0, 0, 0, 0]]))
    assert targets.box.dtype == torch.float32 and targets.fake.dtype == targets.tokens.dtype == torch.int64
    assert batch['data_samples'] == ['a', 'b']


def test_an_id_of_zero_is_no_padding():
    data = data_of()
    data['inputs']['input_ids'][1][1] = 0
    assert VLDataPreprocessor()(data)['inputs'].attention_mask[1].tolist() == [True, True, True, False, False]


@pytest.mark.parametrize('multiple, length', [(1, 5), (4, 8), (5, 5), (16, 16)])
def test_padded_length_is_a_multiple(multiple, length):
    batch = VLDataPreprocessor(pad_to_multiple_of=multiple)(data_of())
    inputs = batch['inputs']
    for tensor in (inputs.input_ids, inputs.attention_mask, inputs.word_mask, batch['targets'].tokens):
        assert tensor.shape == (2, length)
    assert inputs.attention_mask.sum(dim=1).tolist() == [5, 3] and inputs.word_mask.sum(dim=1).tolist() == [3, 1]
    assert (batch['targets'].tokens >= 0).sum().item() == 4


def test_without_pictures_and_without_targets():
    batch = VLDataPreprocessor()(data_of(image=False, targets=False))
    assert batch['inputs'].images is None and batch['targets'] is None
    assert batch['inputs'].input_ids.shape == (2, 5)


def test_channels_last():
    plain, last = (VLDataPreprocessor(channels_last=flag)(data_of())['inputs'].images for flag in (False, True))
    assert last.is_contiguous(memory_format=torch.channels_last) and not last.is_contiguous()
    assert torch.equal(plain, last)


def test_the_loaders_data_stay_as_they_are():
    data = data_of()
    before = [t.clone() for t in data['inputs']['image'] + data['inputs']['input_ids'] + data['targets']['tokens']]
    VLDataPreprocessor(pad_to_multiple_of=8)(data, training=True)
    after = data['inputs']['image'] + data['inputs']['input_ids'] + data['targets']['tokens']
    assert all(torch.equal(a, b) for a, b in zip(before, after))
