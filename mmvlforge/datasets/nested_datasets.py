"""Data sets inside data sets."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from mmvlforge.datasets.transforms import LoadImage, LoadImageGroup, WordTokenizer

__all__ = ['PictureLoader', 'nested_datasets', 'picture_loader', 'pipeline_tokenizer']

PictureLoader = LoadImage | LoadImageGroup


def nested_datasets(dataset: Dataset, attribute: str) -> Iterator[Any]:
    """The outermost data sets that have an attribute, inside any of MMEngine's wrappers or a mix."""
    if hasattr(dataset, attribute):
        yield dataset
        return
    for inner in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if inner is not None:
            yield from nested_datasets(inner, attribute)


def pipeline_tokenizer(dataset: Dataset) -> PreTrainedTokenizerBase | None:
    """The tokenizer in the pipeline of a data set; None if there is none."""
    return next((step.tokenizer for step in _transforms(dataset) if isinstance(step, WordTokenizer)), None)


def picture_loader(dataset: Dataset) -> PictureLoader:
    """What reads pictures in the pipeline of a data set; with the default settings if nothing does."""
    return next((step for step in _transforms(dataset) if isinstance(step, PictureLoader)), LoadImage())


def _transforms(dataset: Dataset) -> Iterator[Any]:
    for inner in nested_datasets(dataset, 'pipeline'):
        yield from inner.pipeline.transforms
