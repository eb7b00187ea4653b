"""Transforms of pictures, captions and labels."""

# mmcv's and mmpretrain's transforms register on import only.
import mmcv.transforms  # noqa: F401
import mmpretrain.datasets.transforms  # noqa: F401

from mmvlforge.datasets.transforms.load_image import LoadImage
from mmvlforge.datasets.transforms.pack_manipulation_inputs import PackManipulationInputs
from mmvlforge.datasets.transforms.word_tokenizer import WordTokenizer

__all__ = ['LoadImage', 'PackManipulationInputs', 'WordTokenizer']
