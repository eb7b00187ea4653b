"""Metrics, the maths behind them, and the open prediction format."""

from mmvlforge.evaluation.metrics import (
    BinaryMetric,
    BoxMetric,
    ImageTextRecall,
    ManipulationTypeMetric,
    PairwiseCaptionMetric,
    PredictionWriter,
    ProofreadingMetric,
    TextToVideoRecall,
    TokenMetric,
    WinogroundMetric,
)

__all__ = [
    'BinaryMetric',
    'BoxMetric',
    'ImageTextRecall',
    'ManipulationTypeMetric',
    'PairwiseCaptionMetric',
    'PredictionWriter',
    'ProofreadingMetric',
    'TextToVideoRecall',
    'TokenMetric',
    'WinogroundMetric',
]
