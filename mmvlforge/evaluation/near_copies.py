"""Whether two pictures are one, recompressed, resized, cropped, mirrored or without colours: by their pixels.

Vectors of a dual encoder say what a picture shows, and two photos of dogs on grass may be as near as a photo and its
crop. So what they find is looked at: normalised cross-correlation (TM_CCOEFF_NORMED) of one picture, in grey and in
small, within the other, over places and sizes.
"""

import cv2
import numpy as np

__all__ = ['likeness']

_SIDE = 64
_SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # a crop of half of the area is still found


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """How alike two pictures are, -1 to 1, where one may be a part of the other or mirrored.

    Args:
        one: RGB uint8 ``(H, W, 3)``.
        other: Likewise, of any size.

    >>> picture = np.random.default_rng(0).integers(0, 256, (50, 80, 3)).astype(np.uint8)
    >>> round(likeness(picture, picture[:, ::-1]), 2)
    1.0
    """
    first, second = _small(one), _small(other)
    best = -1.0
    for a, b in ((first, second), (first[:, ::-1], second), (second, first), (second[:, ::-1], first)):
        for scale in _SCALES:
            side = round(scale * _SIDE)
            part = cv2.resize(np.ascontiguousarray(a), (side, side), interpolation=cv2.INTER_AREA)
            best = max(best, float(cv2.matchTemplate(b, part, cv2.TM_CCOEFF_NORMED).max()))
    return best


def _small(image: np.ndarray) -> np.ndarray:
    """Grey, ``(64, 64)``, with a trace of noise: of a plain area nothing is to be correlated."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    small = np.asarray(cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32)
    return small + np.random.default_rng(0).normal(0, 1, small.shape).astype(np.float32)
