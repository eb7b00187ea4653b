"""Metric classes: each collects one small result per sample, then calls ``mmvlforge.evaluation.functional``."""

from mmvlforge.evaluation.metrics.binary_metric import BinaryMetric
from mmvlforge.evaluation.metrics.box_metric import BoxMetric
from mmvlforge.evaluation.metrics.manipulation_type_metric import ManipulationTypeMetric
from mmvlforge.evaluation.metrics.prediction_writer import PredictionWriter
from mmvlforge.evaluation.metrics.token_metric import TokenMetric

__all__ = ['BinaryMetric', 'BoxMetric', 'ManipulationTypeMetric', 'PredictionWriter', 'TokenMetric']
