"""Data sets inside data sets."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from mmvlforge.datasets.transforms import WordTokenizer

__all__ = ['nested_datasets', 'pipeline_tokenizer']


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
    for inner in nested_datasets(dataset, 'pipeline'):
        for transform in inner.pipeline.transforms:
            if isinstance(transform, WordTokenizer):
                return transform.tokenizer
    return None
