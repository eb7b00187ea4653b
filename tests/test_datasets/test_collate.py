"""Samples to a batch, in the worker or in the preprocessor."""

import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS

from mmvlforge.datasets import vl_collate
from mmvlforge.models import VLDataPreprocessor
from mmvlforge.structures import CaptionTargets, VLInputs


def sample(length, fake, image=True):
    inputs = dict(input_ids=torch.arange(length), word_mask=torch.ones(length, dtype=torch.bool))
    if image:
        inputs['image'] = torch.full((3, 2, 2), length, dtype=torch.uint8)
    labels = dict(fake=torch.tensor(fake), image_type=torch.tensor(fake), text_type=torch.tensor(0))
    targets = dict(labels, box=torch.zeros(4), has_box=torch.tensor(False), tokens=torch.full((length,), fake))
    return dict(inputs=inputs, targets=targets, data_samples=f'sample {length}')


def test_worker_and_preprocessor_stack_alike():
    samples = [sample(3, 1), sample(5, 0)]
    batch = vl_collate(samples)
    assert isinstance(batch['inputs'], VLInputs) and batch['inputs'].images.dtype == torch.uint8
    assert batch['inputs'].input_ids.tolist() == [[0, 1, 2, 0, 0], [0, 1, 2, 3, 4]]
    assert batch['inputs'].attention_mask.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert batch['targets'].tokens.tolist() == [[1, 1, 1, -100, -100], [0] * 5]
    assert batch['data_samples'] == ['sample 3', 'sample 5']
    here, there = (VLDataPreprocessor(pad_to_multiple_of=4)(b) for b in (pseudo_collate(samples), batch))
    for part in ('inputs', 'targets'):
        assert all(torch.equal(a, b) for a, b in zip(here[part], there[part]))
    assert here['inputs'].input_ids.shape == (2, 8) and here['targets'].tokens[:, 5:].eq(-100).all()


def group(pictures, lengths, image_id):
    captions = [torch.arange(1, n + 1) for n in lengths]
    inputs = dict(image=torch.full((pictures, 3, 2, 2), image_id, dtype=torch.uint8), input_ids=captions)
    inputs['word_mask'] = [ids > 1 for ids in captions]
    return dict(inputs=inputs, targets=dict(image_ids=torch.tensor(image_id)), data_samples=f'group {image_id}')


def test_groups_are_laid_end_to_end():
    """One picture with two captions, and two pictures with one."""
    batch = vl_collate([group(1, [2, 3], 8), group(2, [4], 9)])
    batch = VLDataPreprocessor(mean=(0, 0, 0), std=(1 / 255,) * 3, pad_to_multiple_of=5)(batch)
    inputs = batch['inputs']
    assert inputs.images[:, 0, 0, 0].tolist() == [8, 9, 9] and inputs.images.shape == (3, 3, 2, 2)
    assert inputs.input_ids.tolist() == [[1, 2, 0, 0, 0], [1, 2, 3, 0, 0], [1, 2, 3, 4, 0]]
    assert inputs.attention_mask.sum(1).tolist() == [2, 3, 4] and inputs.word_mask.sum(1).tolist() == [1, 2, 3]
    assert isinstance(batch['targets'], CaptionTargets) and batch['targets'].image_ids.tolist() == [8, 9]
    assert batch['data_samples'] == ['group 8', 'group 9']


def test_without_pictures():
    assert vl_collate([sample(2, 0, image=False)])['inputs'].images is None


def test_configs_find_it_by_name():
    """The Runner asks the root registry, which knows no default scope: the name needs its scope."""
    assert FUNCTIONS.get('mmvlforge.vl_collate') is vl_collate


def test_pictures_without_captions():
    """Beside groups that have some, and a batch of pictures alone."""
    batch = vl_collate([group(1, [], 8), group(2, [4], 9)])
    assert batch['inputs'].images.shape == (3, 3, 2, 2) and batch['inputs'].input_ids.shape == (1, 4)
    preprocess = VLDataPreprocessor(mean=(0, 0, 0), std=(1 / 255,) * 3, pad_to_multiple_of=5)
    inputs = preprocess(vl_collate([group(1, [], 8), group(1, [], 9)]))['inputs']
    assert inputs.images[:, 0, 0, 0].tolist() == [8, 9]
    for part, dtype in ((inputs.input_ids, torch.int64), (inputs.attention_mask, torch.bool)):
        assert part.shape[0] == 0 and part.dtype == dtype
    assert inputs.word_mask.shape == inputs.attention_mask.shape and inputs.word_mask.dtype == torch.bool
