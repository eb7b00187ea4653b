"""Transforms of pictures, captions and labels."""

# mmcv's and mmpretrain's transforms register on import only.
import mmcv.transforms  # noqa: F401
import mmpretrain.datasets.transforms  # noqa: F401

from mmvlforge.datasets.transforms.caption_tokenizer import CaptionTokenizer
from mmvlforge.datasets.transforms.clean_captions import CleanCaptions
from mmvlforge.datasets.transforms.flip_with_captions import FlipWithCaptions
from mmvlforge.datasets.transforms.for_each_image import ForEachImage
from mmvlforge.datasets.transforms.load_frames import LoadFrames
from mmvlforge.datasets.transforms.load_image import LoadImage
from mmvlforge.datasets.transforms.load_image_group import LoadImageGroup
from mmvlforge.datasets.transforms.pack_caption_inputs import PackCaptionInputs
from mmvlforge.datasets.transforms.pack_manipulation_inputs import PackManipulationInputs
from mmvlforge.datasets.transforms.word_tokenizer import WordTokenizer

__all__ = [
    'CaptionTokenizer',
    'CleanCaptions',
    'FlipWithCaptions',
    'ForEachImage',
    'LoadFrames',
    'LoadImage',
    'LoadImageGroup',
    'PackCaptionInputs',
    'PackManipulationInputs',
    'WordTokenizer',
]
