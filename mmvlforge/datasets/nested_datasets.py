"""Data sets inside data sets."""

from typing import Iterator

from torch.utils.data import Dataset


def nested_datasets(dataset: Dataset, attribute: str) -> Iterator[Dataset]:
    """The outermost data sets that have an attribute, inside any of MMEngine's wrappers or a mix."""
    if hasattr(dataset, attribute):
        yield dataset
        return
    for inner in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if inner is not None:
            yield from nested_datasets(inner, attribute)
