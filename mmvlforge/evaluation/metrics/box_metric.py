"""Where the image is manipulated."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmvlforge.evaluation.manipulation import PROTOCOLS, box_metrics
from mmvlforge.evaluation.samples import sample_box, sample_rule_boxes, sample_size
from mmvlforge.registry import METRICS

__all__ = ['BoxMetric']

_NO_BOX = [0.0] * 4


@METRICS.register_module()
class BoxMetric(BaseMetric):
    """``IoUmean``, ``IoU50``, ``IoU75``, ``IoUmean_boxed`` in percent, also under each rule for "no box".

    Reads ``gt_box`` and ``pred_box``, xyxy pixels of the stored image or None. Where the head says what each rule would
    do (``pred_box_raw``, ``pred_no_box``), the same numbers follow for each, named ``IoUmean/coord_rule`` and so on,
    whichever is the configured one: the rule alone can decide tens of points. The maths is
    :func:`mmvlforge.evaluation.manipulation.box_metrics`. A data set without boxes does not use this metric.

    Args:
        protocol: ``'dgm4'`` equals published practice with its quirk, ``'strict'`` leaves the quirk out and cuts
            both boxes at the picture (``ori_shape``). Defaults to ``'dgm4'``.
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ''  # bare keys; None gives them too, but MMEngine then warns at every start

    def __init__(self, protocol: str = 'dgm4', **kwargs) -> None:
        super().__init__(**kwargs)
        if protocol not in PROTOCOLS:
            raise ValueError(f'BoxMetric: protocol {protocol!r} is unknown; choose one of {PROTOCOLS}')
        self.protocol = protocol

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep all boxes of each sample, zeros for "no box", and the size of its picture."""
        self.results += [
            (
                sample_box(sample, 'pred_box') or _NO_BOX,
                sample_box(sample, 'gt_box') or _NO_BOX,
                sample_size(sample),
                {rule: box or _NO_BOX for rule, box in sample_rule_boxes(sample).items()},
            )
            for sample in data_samples
        ]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        boxes, truth, sizes, by_rule = ([row[k] for row in results] for k in range(4))
        rules = list(by_rule[0]) if by_rule else []
        if any(list(row) != rules for row in by_rule):
            raise ValueError(f'pred_no_box: some samples have other rules than the first, which has {rules}')
        return box_metrics(boxes, truth, self.protocol, sizes, {rule: [row[rule] for row in by_rule] for rule in rules})
