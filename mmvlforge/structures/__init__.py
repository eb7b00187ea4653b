"""Data structures that travel between data sets, models and evaluators."""

from mmvlforge.structures.batch import IGNORE, CaptionTargets, ManipulationTargets, VLInputs, is_encoded
from mmvlforge.structures.edits import EditedText, EditExam, Proofreading
from mmvlforge.structures.features import FusedFeatures, ImageFeatures, RetrievalFeatures
from mmvlforge.structures.vl_data_sample import VLDataSample

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
    'is_encoded',
]
