"""SugarCrepe and ARO: a true caption against a false one."""

from typing import Dict

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
        means: ``'prefix'`` for SugarCrepe's ``replace``, ``swap`` and ``add``, ``'macro'`` for ARO's mean over all
            relations. Defaults to ``'prefix'``.
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    extras = ('category',)

    def __init__(self, means: str = 'prefix', **kwargs) -> None:
        super().__init__(**kwargs)
        if means not in PAIR_MEANS:
            raise ValueError(f'PairwiseCaptionMetric: means {means!r} is unknown; choose one of {PAIR_MEANS}')
        self.means = means

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Metrics of the whole set."""
        indices, images, texts, categories = self.unique_columns(results)
        images, texts = same_number(images, indices, 1, 'images')[:, 0], same_number(texts, indices, 2, 'captions')
        return pairwise_metrics(images, texts, categories, self.means)
