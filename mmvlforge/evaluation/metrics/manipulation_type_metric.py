"""Which manipulations a sample has."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmvlforge.evaluation.manipulation import type_breakdown, type_metrics
from mmvlforge.evaluation.samples import sample_type_scores
from mmvlforge.registry import METRICS

__all__ = ['ManipulationTypeMetric']


@METRICS.register_module()
class ManipulationTypeMetric(BaseMetric):
    """``mAP``, ``CF1``, ``OF1`` in percent; see :func:`mmvlforge.evaluation.manipulation.type_metrics`.

    Reads ``gt_image_type``, ``gt_text_type`` (0 = real) and ``pred_type_scores`` (log-odds, image types first, real
    left out); the names of the types come from the data set's ``image_types`` and ``text_types``.

    Args:
        per_class: Whether to add ``AP/<type>`` for each type that occurs. Defaults to False.
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ''  # bare keys; None gives them too, but MMEngine then warns at every start

    def __init__(self, per_class: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.per_class = per_class

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep scores and labels of each sample."""
        image_types, text_types = self.dataset_meta['image_types'], self.dataset_meta['text_types']
        n_image, n_text = len(image_types) - 1, len(text_types) - 1
        for sample in data_samples:
            labels = _one_hot(sample['gt_image_type'], n_image) + _one_hot(sample['gt_text_type'], n_text)
            self.results.append((sample_type_scores(sample, n_image + n_text), labels))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        scores, labels = [score for score, _ in results], [label for _, label in results]
        metrics = type_metrics(scores, labels)
        if self.per_class:
            names = [*self.dataset_meta['image_types'][1:], *self.dataset_meta['text_types'][1:]]
            table = type_breakdown(scores, labels, names)
            metrics.update({f'AP/{name}': row['AP'] for name, row in table.items() if row['AP'] is not None})
        return metrics


def _one_hot(label: int, n: int) -> list[bool]:
    return [label == k for k in range(1, n + 1)]
