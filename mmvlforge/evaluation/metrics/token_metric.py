"""Which words are manipulated."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmvlforge.evaluation.manipulation import token_metrics
from mmvlforge.evaluation.samples import sample_tokens
from mmvlforge.registry import METRICS

__all__ = ['TokenMetric']


@METRICS.register_module()
class TokenMetric(BaseMetric):
    """``Precision``, ``Recall``, ``F1`` in percent, micro over all word tokens of all samples.

    Reads ``gt_tokens`` and ``pred_tokens``, 0 or 1 for each of ``word_ids``; special and padding tokens are in neither.
    The maths is :func:`mmvlforge.evaluation.manipulation.token_metrics`.

    Args:
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ''  # bare keys; None gives them too, but MMEngine then warns at every start

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep three counts of each sample."""
        for sample in data_samples:
            predicted, truth = sample_tokens(sample, 'pred_tokens'), sample_tokens(sample, 'gt_tokens')
            correct = sum(p and t for p, t in zip(predicted, truth))
            self.results.append((correct, sum(predicted), sum(truth)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        return token_metrics(results)
