"""Data structures that travel between data sets, models and evaluators."""

from mmvlforge.structures.caption_targets import CaptionTargets
from mmvlforge.structures.edit_exam import EditExam
from mmvlforge.structures.edited_text import EditedText
from mmvlforge.structures.fused_features import FusedFeatures
from mmvlforge.structures.image_features import ImageFeatures
from mmvlforge.structures.manipulation_targets import IGNORE, ManipulationTargets
from mmvlforge.structures.proofreading import Proofreading
from mmvlforge.structures.retrieval_features import RetrievalFeatures
from mmvlforge.structures.vl_data_sample import VLDataSample
from mmvlforge.structures.vl_inputs import VLInputs

__all__ = [
    'IGNORE',
    'CaptionTargets',
    'EditExam',
    'EditedText',
    'FusedFeatures',
    'ImageFeatures',
    'ManipulationTargets',
    'Proofreading',
    'RetrievalFeatures',
    'VLDataSample',
    'VLInputs',
]
