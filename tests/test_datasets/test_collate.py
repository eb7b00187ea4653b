"""Samples to a batch, in the worker or in the preprocessor."""

import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS

from mmvlforge.datasets import vl_collate
from mmvlforge.models import VLDataPreprocessor
from mmvlforge.structures import VLInputs


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


def test_without_pictures():
    assert vl_collate([sample(2, 0, image=False)])['inputs'].images is None


def test_configs_find_it_by_name():
    """The Runner asks the root registry, which knows no default scope: the name needs its scope."""
    assert FUNCTIONS.get('mmvlforge.vl_collate') is vl_collate
