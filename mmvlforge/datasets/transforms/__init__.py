"""Transforms of pictures, captions and labels."""

# mmcv's and mmpretrain's transforms register on import only.
import mmcv.transforms  # noqa: F401
import mmpretrain.datasets.transforms  # noqa: F401

from mmvlforge.datasets.transforms.loading import LoadFrames, LoadImage, LoadImageFeatures, LoadImageGroup
from mmvlforge.datasets.transforms.packing import PackCaptionInputs, PackManipulationInputs
from mmvlforge.datasets.transforms.processing import CleanCaptions, FlipWithCaptions, ForEachImage
from mmvlforge.datasets.transforms.tokenizing import CaptionTokenizer, WordTokenizer

__all__ = [
    'CaptionTokenizer',
    'CleanCaptions',
    'FlipWithCaptions',
    'ForEachImage',
    'LoadFrames',
    'LoadImage',
    'LoadImageFeatures',
    'LoadImageGroup',
    'PackCaptionInputs',
    'PackManipulationInputs',
    'WordTokenizer',
]
