"""Captions without punctuation."""

from mmcv.transforms import BaseTransform

from mmvlforge.annotations import clean_caption
from mmvlforge.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CleanCaptions(BaseTransform):
    """Captions in lower case, without punctuation, cut to a number of words.

    Required Keys: captions
    Modified Keys: captions

    Args:
        max_words: Words kept: 30 in pre-training, 35 in evaluation (usual practice; the paper does not say).
    """

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words

    def transform(self, results: dict) -> dict:
        """Clean ``results['captions']``."""
        results['captions'] = [clean_caption(caption, self.max_words) for caption in results['captions']]
        return results
