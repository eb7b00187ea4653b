"""Real against fake."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmvlforge.evaluation.manipulation import binary_metrics
from mmvlforge.evaluation.samples import sample_fake_score
from mmvlforge.registry import METRICS

__all__ = ['BinaryMetric']


@METRICS.register_module()
class BinaryMetric(BaseMetric):
    """``AUC``, ``EER``, ``ACC`` in percent; see :func:`mmvlforge.evaluation.manipulation.binary_metrics`.

    Reads ``gt_fake`` and ``pred_fake_score``.

    Args:
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ''  # bare keys; None gives them too, but MMEngine then warns at every start

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep score and label of each sample."""
        self.results += [(sample_fake_score(sample), int(sample['gt_fake'])) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        return binary_metrics([score for score, _ in results], [fake for _, fake in results])
