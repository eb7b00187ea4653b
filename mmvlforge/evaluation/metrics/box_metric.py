"""Where the image is manipulated."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmvlforge.evaluation.manipulation import PROTOCOLS, box_metrics
from mmvlforge.evaluation.samples import sample_box
from mmvlforge.registry import METRICS

__all__ = ['BoxMetric']

_NO_BOX = [0.0] * 4


@METRICS.register_module()
class BoxMetric(BaseMetric):
    """``IoUmean``, ``IoU50``, ``IoU75``, ``IoUmean_boxed`` in percent.

    Reads ``gt_box`` and ``pred_box``, xyxy pixels of the stored image or None. The maths is
    :func:`mmvlforge.evaluation.manipulation.box_metrics`. A data set without boxes does not use this metric.

    Args:
        protocol: ``'dgm4'`` equals published practice with its quirk, ``'strict'`` leaves the quirk out. Defaults to
            ``'dgm4'``.
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ''  # bare keys; None gives them too, but MMEngine then warns at every start

    def __init__(self, protocol: str = 'dgm4', **kwargs) -> None:
        super().__init__(**kwargs)
        if protocol not in PROTOCOLS:
            raise ValueError(f'BoxMetric: protocol {protocol!r} is unknown; choose one of {PROTOCOLS}')
        self.protocol = protocol

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep both boxes of each sample, zeros for "no box"."""
        self.results += [
            (sample_box(sample, 'pred_box') or _NO_BOX, sample_box(sample, 'gt_box') or _NO_BOX)
            for sample in data_samples
        ]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        return box_metrics([box for box, _ in results], [truth for _, truth in results], self.protocol)
