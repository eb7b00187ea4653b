"""Text-to-video retrieval."""

import numpy as np

from mmvlforge.evaluation.metrics.base_feature_metric import BaseFeatureMetric, caption_owners
from mmvlforge.evaluation.retrieval import text_to_video_metrics
from mmvlforge.registry import METRICS

__all__ = ['TextToVideoRecall']


@METRICS.register_module()
class TextToVideoRecall(BaseFeatureMetric):
    """``t2v_R@1``, ``t2v_R@5``, ``t2v_R@10``, ``t2v_MedR``; a sample is a video's frames with its captions.

    The maths is :func:`mmvlforge.evaluation.retrieval.text_to_video_metrics`.

    Args:
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        indices, frames, texts = self.unique_columns(results)
        owner = caption_owners(texts, indices)
        return text_to_video_metrics(frames, np.concatenate(texts), owner)
