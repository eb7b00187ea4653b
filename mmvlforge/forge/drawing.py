"""What the drawn data sets share: an anti-aliased pen, sprites (premultiplied BGRA), and what every camera adds.

Pictures are uint8 BGR, as OpenCV writes them, and are changed in place.
"""

import functools
from collections.abc import Sequence

import cv2
import numpy as np

__all__ = ['Pen', 'dark', 'mix', 'opaque', 'overlay', 'paste', 'pick', 'ramp', 'take_photo', 'warp']


def pick(rng: np.random.Generator, options: Sequence):
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def opaque(colour) -> tuple[int, ...]:
    """The colour with an alpha of 255.

    A BGR canvas ignores it. On a transparent black BGRA canvas the anti-aliased edges come out premultiplied.
    """
    return (*(int(c) for c in colour), 255)


def mix(colour, other, share: float) -> tuple[int, ...]:
    """The colour with a share of another one."""
    return tuple(int(round(c + (o - c) * share)) for c, o in zip(colour, other))


def dark(colour, share: float) -> tuple[int, ...]:
    """The colour with a share of black."""
    return mix(colour, (0, 0, 0), share)


class Pen:
    """Draws anti-aliased shapes on a BGR or BGRA canvas.

    Args:
        image: The canvas.
        scale: Pixels of one unit.
        origin: Where the unit coordinates (0, 0) lie, in pixels.
    """

    def __init__(self, image: np.ndarray, scale: float, origin: tuple[float, float] = (0.0, 0.0)) -> None:
        self.image = image
        self.scale = scale
        self.origin = np.array(origin, np.float64)

    def _pixels(self, points) -> np.ndarray:
        # 4 fractional bits: cv2 then draws with sixteenths of a pixel.
        points = np.asarray(points, np.float64) * self.scale + self.origin
        return np.round(points * 16).astype(np.int32)

    def poly(self, points, colour) -> None:
        """A filled polygon."""
        cv2.fillPoly(self.image, [self._pixels(points)], opaque(colour), cv2.LINE_AA, 4)

    def line(self, points, colour, width: float, closed: bool = False) -> None:
        """A line through the points."""
        thickness = max(1, round(width * self.scale))
        cv2.polylines(self.image, [self._pixels(points)], closed, opaque(colour), thickness, cv2.LINE_AA, 4)

    def oval(self, x: float, y: float, rx: float, ry: float, colour, width: float = 0.0, angle: float = 0.0) -> None:
        """An ellipse turned by ``angle`` degrees, filled, or a line of the given width."""
        points = np.asarray(cv2.ellipse2Poly((0, 0), (1000, 1000), 0, 0, 360, 8))[:-1] / 1000.0 * (rx, ry)
        turn = np.deg2rad(angle)
        points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + (x, y)
        if width:
            self.line(points, colour, width, closed=True)
        else:
            self.poly(points, colour)

    def box(self, x1: float, y1: float, x2: float, y2: float, colour) -> None:
        """A filled rectangle."""
        self.poly([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], colour)


def ramp(image: np.ndarray, top, bottom, y1: float, y2: float) -> None:
    """Fill the rows from y1 to y2 (shares of the height) with a vertical colour ramp."""
    height = image.shape[0]
    start, stop = round(y1 * height), round(y2 * height)
    share = np.linspace(0, 1, stop - start)[:, None, None]
    image[start:stop] = np.round(np.array(top) * (1 - share) + np.array(bottom) * share).astype(np.uint8)


def warp(sprite: np.ndarray, matrix: np.ndarray, region: tuple[int, int, int, int]) -> np.ndarray:
    """A sprite as it appears in a region (xyxy) of the picture."""
    x1, y1, x2, y2 = region
    matrix = matrix - np.array([[0, 0, x1], [0, 0, y1]])
    return cv2.warpAffine(sprite, matrix, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR)


def overlay(image: np.ndarray, layer: np.ndarray) -> None:
    """Put a premultiplied BGRA layer over a picture, in place."""
    clear = cv2.cvtColor(255 - layer[:, :, 3], cv2.COLOR_GRAY2BGR)
    image[:] = cv2.add(cv2.multiply(image, clear, scale=1 / 255), layer[:, :, :3])


def paste(image: np.ndarray, sprite: np.ndarray, matrix: np.ndarray) -> None:
    """Paste a sprite into a picture, in place; ``matrix`` (2, 3) leads from the sprite to the picture."""
    height, width = sprite.shape[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ matrix.T
    x1, y1 = np.clip(np.floor(corners.min(0)), 0, image.shape[1::-1]).astype(int)
    x2, y2 = np.clip(np.ceil(corners.max(0)), 0, image.shape[1::-1]).astype(int)
    if x1 < x2 and y1 < y2:
        overlay(image[y1:y2, x1:x2], warp(sprite, matrix, (x1, y1, x2, y2)))


@functools.lru_cache(maxsize=1)
def _grain(size: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2 * size, 2 * size, 3), dtype=np.float32)


def take_photo(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What every camera adds to a square picture: light, contrast, tint, some blur and grain."""
    size = image.shape[0]
    gain = rng.uniform(0.88, 1.12) * rng.uniform(0.97, 1.03, 3)
    shift = rng.uniform(-10, 10)
    blur, grain = rng.uniform(0, 0.7), rng.uniform(1, 4)
    x, y = rng.integers(0, size, 2)
    photo: np.ndarray = image.astype(np.float32)
    if blur > 0.3:
        photo = cv2.GaussianBlur(photo, (5, 5), blur)
    photo = (photo - 128) * gain.astype(np.float32) + np.float32(128 + shift)
    photo += np.float32(grain) * _grain(size)[y : y + size, x : x + size]
    return np.clip(np.rint(photo), 0, 255).astype(np.uint8)
