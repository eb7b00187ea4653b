"""Image-text retrieval."""

import numpy as np

from mmvlforge.evaluation.metrics.base_feature_metric import BaseFeatureMetric, caption_owners, same_number
from mmvlforge.evaluation.retrieval import image_text_metrics
from mmvlforge.registry import METRICS

__all__ = ['ImageTextRecall']


@METRICS.register_module()
class ImageTextRecall(BaseFeatureMetric):
    """``i2t_R@1`` … ``t2i_R@10``, ``RSUM``, ``i2t_MedR``, ``t2i_MedR``; a sample is one image with all its captions.

    The maths is :func:`mmvlforge.evaluation.retrieval.image_text_metrics`. A picture without a caption is an error: it
    has no rank, and published numbers know none.

    Args:
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        indices, images, texts = self.unique_columns(results)
        owner = caption_owners(texts, indices)
        return image_text_metrics(same_number(images, indices, 1, 'images')[:, 0], np.concatenate(texts), owner)
