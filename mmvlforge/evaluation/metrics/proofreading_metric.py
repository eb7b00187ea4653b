"""Proofreading of edited captions."""

import numpy as np

from mmvlforge.evaluation.metrics.base_feature_metric import BaseFeatureMetric, sample_field
from mmvlforge.evaluation.proofreading import blind_proofreading, proofreading_metrics
from mmvlforge.registry import METRICS

__all__ = ['ProofreadingMetric']


@METRICS.register_module()
class ProofreadingMetric(BaseFeatureMetric):
    """``detection_AUC``, ``correction_top1`` and ``correction_top5`` of each path: ``detection_AUC/local`` and so on.

    ``detection_AUC_editable`` is over the words that could have been edited: telling these from the others, such as
    stop words, gains nothing there. Reads what ViLEM writes where its config has a ``proofread_seed``.
    ``detection_AUC/chance`` and so on belong to a guesser that knows only how often each word is wrong, and which words
    are edited most often. The maths is in :mod:`mmvlforge.evaluation.proofreading`.

    Args:
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    def row(self, sample: dict, index: int) -> tuple:
        """Edits, editable words, originals, ids and readings of one sample."""
        exam = sample_field(sample, 'pred_proofreading')
        readings = {
            path: tuple(None if part is None else part.numpy() for part in parts)
            for path, parts in exam.readings.items()
        }
        columns = (exam.edited, exam.editable, exam.originals, exam.input_ids)
        return *(column.numpy() for column in columns), readings

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        _, *columns, readings = self.unique_columns(results)
        edited, editable, originals, input_ids = map(np.concatenate, columns)
        metrics = {}
        for path in readings[0]:
            wrong, candidates = (
                None if parts[0] is None else np.concatenate(parts) for parts in zip(*(row[path] for row in readings))
            )
            values = proofreading_metrics(edited, originals, wrong, candidates, editable)
            metrics.update({f'{name}/{path}': value for name, value in values.items()})
        blind = blind_proofreading(edited, originals, input_ids, editable)
        return {**metrics, **{f'{name}/chance': value for name, value in blind.items()}}
