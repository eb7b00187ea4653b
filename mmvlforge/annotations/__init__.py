"""Annotation files: reading them, and the conventions of their records. Light: no framework is imported."""

from mmvlforge.annotations.annotation_file import read_annotations
from mmvlforge.annotations.caption_readers import READERS, CaptionRecord, guess_reader, read_captions
from mmvlforge.annotations.caption_text import CAPTION_CLEANERS, clean_caption, has_sides, swap_sides
from mmvlforge.annotations.dgm4_record import (
    IMAGE_TYPES,
    TEXT_TYPES,
    ClassMap,
    Problem,
    RecordFormat,
    box_inside,
    dgm4_class_map,
    record_problems,
)
from mmvlforge.annotations.packed_records import PackedRecords

__all__ = [
    'CAPTION_CLEANERS',
    'IMAGE_TYPES',
    'READERS',
    'TEXT_TYPES',
    'CaptionRecord',
    'ClassMap',
    'PackedRecords',
    'Problem',
    'RecordFormat',
    'box_inside',
    'clean_caption',
    'dgm4_class_map',
    'guess_reader',
    'has_sides',
    'read_annotations',
    'read_captions',
    'record_problems',
    'swap_sides',
]
