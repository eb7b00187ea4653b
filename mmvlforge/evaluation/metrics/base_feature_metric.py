"""What all retrieval metrics share: collecting features."""

import sys
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric


class BaseFeatureMetric(BaseMetric):
    """Collects ``pred_image_feats (F, D)`` and ``pred_text_feats (K, D)`` of every sample.

    Every process computes features of its part of the set; all parts meet here, are sorted by ``index`` and freed of
    the samples that a sampler repeats. So any number of processes gives the numbers of one.

    Args:
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ''  # bare keys; None gives them too, but MMEngine then warns at every start
    extras: tuple[str, ...] = ()  # other fields of a sample that a metric reads

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep index and row of each sample."""
        for sample in data_samples:
            index = int(sample_field(sample, 'index'))
            self.results.append((index, *self.row(sample, index)))

    def row(self, sample: dict, index: int) -> tuple:
        """What is kept of one sample: its features and extra fields."""
        images, texts = (_array(sample_field(sample, f), index, f) for f in ('pred_image_feats', 'pred_text_feats'))
        return (images, texts, *(sample_field(sample, name) for name in self.extras))

    def evaluate(self, size: int) -> dict:
        """Metrics of the whole set of ``size`` samples.

        MMEngine would cut the collected list to ``size``, which drops real samples unless the repeated ones stand last.
        """
        self._size = size
        return super().evaluate(sys.maxsize)

    def unique_columns(self, results: list) -> tuple[list, ...]:
        """Columns of the results (indices, then those of :meth:`row`), one row a sample, by index.

        Raises:
            ValueError: The set has another number of samples.
        """
        rows = {row[0]: row for row in results}
        if len(rows) != self._size:
            name = type(self).__name__
            raise ValueError(f'{name}: {len(rows)} different samples were predicted, the set has {self._size}')
        return tuple(map(list, zip(*(rows[index] for index in sorted(rows)))))


def sample_field(sample: dict, field: str):
    """A field that a sample must have."""
    if field not in sample:
        source = "the model's predict" if field.startswith('pred_') else 'the data set'
        raise ValueError(f"sample {sample.get('index')}: no field '{field}', which {source} writes")
    return sample[field]


def _array(values, index: int, field: str) -> np.ndarray:
    # float32 and bfloat16 values are float32 values too.
    array = torch.as_tensor(values).detach().cpu().float().numpy()
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f'sample {index}: {field} of shape {array.shape} must be finite rows of features')
    return array


def caption_owners(texts: Sequence[np.ndarray], indices: Sequence[int]) -> np.ndarray:
    """Place of each caption's sample, ``(Nt,)``; every sample must have a caption."""
    alone = [index for index, captions in zip(indices, texts) if not len(captions)]
    if alone:
        raise ValueError(
            f'sample {alone[0]} has no caption ({len(alone)} such samples): recall needs captions of each picture; '
            'leave it out of the annotation file, or encode the set without metrics'
        )
    return np.repeat(np.arange(len(texts)), [len(captions) for captions in texts])


def same_number(feats: Sequence[np.ndarray], indices: Sequence[int], count: int, what: str) -> np.ndarray:
    """Stack features of samples that each must have ``count`` rows, to ``(N, count, D)``."""
    for index, rows in zip(indices, feats):
        if len(rows) != count:
            raise ValueError(f'sample {index}: {len(rows)} {what}, must be {count}')
    return np.stack(feats)
