"""Metric classes: each collects one small result per sample, then calls the pure functions beside this package."""

from mmvlforge.evaluation.metrics.binary_metric import BinaryMetric
from mmvlforge.evaluation.metrics.box_metric import BoxMetric
from mmvlforge.evaluation.metrics.image_text_recall import ImageTextRecall
from mmvlforge.evaluation.metrics.manipulation_type_metric import ManipulationTypeMetric
from mmvlforge.evaluation.metrics.pairwise_caption_metric import PairwiseCaptionMetric
from mmvlforge.evaluation.metrics.prediction_writer import PredictionWriter
from mmvlforge.evaluation.metrics.proofreading_metric import ProofreadingMetric
from mmvlforge.evaluation.metrics.text_to_video_recall import TextToVideoRecall
from mmvlforge.evaluation.metrics.token_metric import TokenMetric
from mmvlforge.evaluation.metrics.winoground_metric import WinogroundMetric

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
