"""Models; each is registered under its class name."""

from mmvlforge.models import encoders, heads, necks, weights
from mmvlforge.models.manipulation_detector import ManipulationDetector
from mmvlforge.models.vl_data_preprocessor import VLDataPreprocessor

__all__ = ['ManipulationDetector', 'VLDataPreprocessor', 'encoders', 'heads', 'necks', 'weights']
