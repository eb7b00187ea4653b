"""SugarCrepe and ARO: a true caption against a false one."""

import logging
from collections.abc import Sequence

from mmengine.logging import print_log

from mmvlforge.evaluation.metrics.base_feature_metric import BaseFeatureMetric, same_number
from mmvlforge.evaluation.retrieval import PAIR_MEANS, pairwise_metrics
from mmvlforge.registry import METRICS

__all__ = ['PairwiseCaptionMetric']


@METRICS.register_module()
class PairwiseCaptionMetric(BaseFeatureMetric):
    """Share of samples whose true caption scores higher, by ``category``, and means over categories.

    A sample is one image and two captions, the true one first. The maths is
    :func:`mmvlforge.evaluation.retrieval.pairwise_metrics`.

    Args:
        means: ``'prefix'`` for SugarCrepe's ``replace``, ``swap`` and ``add``, ``'macro'`` for ARO's mean over
            relations. Defaults to ``'prefix'``.
        exclude: Categories that do not count. Published figures of ARO leave out symmetric relations ('next to'), whose
            false caption is as true as the other.
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    extras = ('category',)

    def __init__(self, means: str = 'prefix', exclude: Sequence[str] = (), **kwargs) -> None:
        super().__init__(**kwargs)
        if means not in PAIR_MEANS:
            raise ValueError(f'PairwiseCaptionMetric: means {means!r} is unknown; choose one of {PAIR_MEANS}')
        self.means = means
        self.exclude = exclude

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        indices, images, texts, categories = self.unique_columns(results)
        pictures, captions = same_number(images, indices, 1, 'images')[:, 0], same_number(texts, indices, 2, 'captions')
        unknown = sorted(set(self.exclude) - set(categories))
        if unknown:
            print_log(f'exclude: no sample is of category {unknown}', logger='current', level=logging.WARNING)
        kept = [row for row, category in enumerate(categories) if category not in self.exclude]
        return pairwise_metrics(pictures[kept], captions[kept], [categories[row] for row in kept], self.means)
