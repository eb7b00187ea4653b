"""The tokenizer and the loader of pictures of any data set, wrapped or mixed."""

import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset

from mmvlforge.datasets.nested_datasets import picture_loader, pipeline_tokenizer
from mmvlforge.datasets.transforms.loading import MAX_PIXELS
from mmvlforge.registry import DATASETS


@pytest.mark.parametrize('wrap', [lambda d: d, lambda d: ConcatDataset([d, d]), lambda d: RepeatDataset(d, 2)])
def test_tokenizer_of_a_manipulation_set(build, record, wrap):
    dataset = wrap(build([record()]))
    assert pipeline_tokenizer(dataset).convert_ids_to_tokens([0, 2]) == ['<s>', '</s>']


@pytest.mark.parametrize('wrap', [lambda d: d, lambda d: ConcatDataset([d, d]), lambda d: RepeatDataset(d, 2)])
def test_loader_of_pictures(build, record, caption_pipeline, wrap):
    dataset = wrap(build([record()], [dict(type='LoadImage', orientation='seen', max_pixels=99)]))
    loader = picture_loader(dataset)
    assert (loader.orientation, loader.max_pixels) == ('seen', 99)
    loader = picture_loader(wrap(build([record()], [])))
    assert (loader.orientation, loader.max_pixels) == ('stored', MAX_PIXELS)
    assert picture_loader(wrap(build([record()], caption_pipeline[:1]))).orientation == 'seen'


def test_tokenizer_of_a_mix_of_caption_sets(caption_pipeline):
    source = dict(type='CaptionDataset', ann_file='none.json', reader=dict(type='karpathy', split='train'))
    mix = dict(type='MixedCaptionDataset', datasets=[source] * 2, pipeline=caption_pipeline, lazy_init=True)
    assert pipeline_tokenizer(DATASETS.build(mix)).convert_ids_to_tokens([6, 7]) == ['dog', 'cat']


def test_a_pipeline_without_a_tokenizer(caption_pipeline):
    pipeline = [transform for transform in caption_pipeline if transform['type'] != 'CaptionTokenizer']
    reader = dict(type='karpathy', split='test')
    dataset = dict(type='RetrievalDataset', ann_file='none.json', reader=reader, pipeline=pipeline, lazy_init=True)
    assert pipeline_tokenizer(DATASETS.build(dataset)) is None
