"""A mirror that minds what the captions say."""

import random

import cv2
from mmcv.transforms import BaseTransform

from mmvlforge.annotations import has_sides, swap_sides
from mmvlforge.registry import TRANSFORMS

SIDES = ('keep', 'swap', 'ignore')


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
