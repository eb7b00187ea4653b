"""Models; each is registered under its class name."""

import mmvlforge.openmmlab  # noqa: F401  # first, so that nothing is printed
from mmvlforge.models import encoders, heads, necks, paths, weights
from mmvlforge.models.dual_encoder import DualEncoder
from mmvlforge.models.edited_text_contrast import EditedTextContrast
from mmvlforge.models.manipulation_detector import ManipulationDetector
from mmvlforge.models.masked_language_model import MaskedLanguageModel
from mmvlforge.models.text_corruptor import TextCorruptor
from mmvlforge.models.trace_classifier import TraceClassifier
from mmvlforge.models.vilem import ViLEM
from mmvlforge.models.vl_data_preprocessor import VLDataPreprocessor

__all__ = [
    'DualEncoder',
    'EditedTextContrast',
    'ManipulationDetector',
    'MaskedLanguageModel',
    'TextCorruptor',
    'TraceClassifier',
    'VLDataPreprocessor',
    'ViLEM',
    'encoders',
    'heads',
    'necks',
    'paths',
    'weights',
]
