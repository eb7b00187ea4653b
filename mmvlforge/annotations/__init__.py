"""Annotation files: reading them, and the conventions of their records. Light: no framework is imported."""

from mmvlforge.annotations.annotation_file import read_annotations
from mmvlforge.annotations.dgm4_record import (
    IMAGE_TYPES,
    TEXT_TYPES,
    ClassMap,
    Problem,
    RecordFormat,
    dgm4_class_map,
    record_problems,
)

__all__ = [
    'IMAGE_TYPES',
    'TEXT_TYPES',
    'ClassMap',
    'Problem',
    'RecordFormat',
    'dgm4_class_map',
    'read_annotations',
    'record_problems',
]
