"""Between loading and tokenizing: captions cleaned, pictures of a group transformed and mirrored."""

import random
from collections.abc import Sequence

import cv2
from mmcv.transforms import BaseTransform, Compose

from mmvlforge.annotations import clean_caption, has_sides, swap_sides
from mmvlforge.registry import TRANSFORMS

__all__ = ['CleanCaptions', 'FlipWithCaptions', 'ForEachImage']

SIDES = ('keep', 'swap', 'ignore')


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


@TRANSFORMS.register_module()
class FlipWithCaptions(BaseTransform):
    """Mirror all pictures of a group, left to right.

    A caption that says left or right does not survive a mirror.

    Required Keys: imgs, captions
    Modified Keys: imgs, captions

    Args:
        prob: Probability of a mirror. Defaults to 0.5.
        sides: What happens where a caption says left or right: ``'keep'`` leaves the pictures as they are, ``'swap'``
            mirrors them and swaps the two words (also in "right now"), ``'ignore'`` mirrors them and nothing else.
    """

    def __init__(self, prob: float = 0.5, sides: str = 'keep') -> None:
        if sides not in SIDES:
            raise ValueError(f'sides must be one of {SIDES}, got {sides!r}')
        self.prob = prob
        self.sides = sides

    def transform(self, results: dict) -> dict:
        """Mirror or not."""
        drawn = random.random() < self.prob
        if drawn and not (self.sides == 'keep' and any(map(has_sides, results['captions']))):
            results['imgs'] = [cv2.flip(img, 1) for img in results['imgs']]
            if self.sides == 'swap':
                results['captions'] = list(map(swap_sides, results['captions']))
        return results


@TRANSFORMS.register_module()
class ForEachImage(BaseTransform):
    """Apply OpenMMLab's transforms of one picture to each picture of a group, each with random numbers of its own.

    Required Keys: imgs
    Modified Keys: imgs

    Args:
        transforms: Configs of transforms that read and write ``img`` and ``img_shape``.
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms = Compose([TRANSFORMS.build(t) for t in transforms])

    def transform(self, results: dict) -> dict:
        """Transform ``results['imgs']``."""
        results['imgs'] = [self.transforms(dict(img=i, img_shape=i.shape[:2]))['img'] for i in results['imgs']]
        return results
