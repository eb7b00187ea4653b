"""Metrics, the maths behind them, and the open prediction format."""

from mmvlforge.evaluation.metrics import BinaryMetric, BoxMetric, ManipulationTypeMetric, PredictionWriter, TokenMetric

__all__ = ['BinaryMetric', 'BoxMetric', 'ManipulationTypeMetric', 'PredictionWriter', 'TokenMetric']
