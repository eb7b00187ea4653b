"""Winoground."""

from mmvlforge.evaluation.metrics.base_feature_metric import BaseFeatureMetric, same_number
from mmvlforge.evaluation.retrieval import winoground_metrics
from mmvlforge.registry import METRICS

__all__ = ['WinogroundMetric']


@METRICS.register_module()
class WinogroundMetric(BaseFeatureMetric):
    """``text_score``, ``image_score``, ``group_score``, each also by ``tag`` and by ``num_main_preds``.

    A sample is two images and two captions. The maths is :func:`mmvlforge.evaluation.retrieval.winoground_metrics`.

    Args:
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    extras = ('tag', 'num_main_preds')

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        indices, images, texts, tags, num_preds = self.unique_columns(results)
        pictures, captions = same_number(images, indices, 2, 'images'), same_number(texts, indices, 2, 'captions')
        return winoground_metrics(pictures, captions, tags, num_preds)
