"""Finding faces: OpenCV's own cascades, or MTCNN where it is installed."""

import functools
from collections.abc import Callable

import cv2
import numpy as np

__all__ = ['FINDERS', 'Box', 'find_faces', 'turn_box']

Box = tuple[float, float, float, float]
MIN_CONFIDENCE = 0.95  # of MTCNN's last stage


def find_faces(image: np.ndarray, finder: str, min_side: int) -> list[Box]:
    """The faces of a picture.

    Args:
        image: BGR, uint8 ``(H, W, 3)``.
        finder: A key of :data:`FINDERS`.
        min_side: Faces with a side of fewer pixels are left out.

    Returns:
        Tight boxes, xyxy pixels inside the picture.

    Raises:
        ValueError: There is no such finder, or its package is missing.
    """
    if finder not in FINDERS:
        raise ValueError(f'finder of faces {finder!r} is unknown; choose one of {sorted(FINDERS)}')
    if min(image.shape[:2]) < min_side:
        return []
    return usable(FINDERS[finder](image, min_side), image, min_side)


def usable(faces: list[Box], image: np.ndarray, min_side: int) -> list[Box]:
    """The parts of faces inside a picture, in whole pixels, of those that have enough pixels there."""
    height, width = image.shape[:2]
    inside = [(max(0, round(a)), max(0, round(b)), min(width, round(c)), min(height, round(d))) for a, b, c, d in faces]
    return [box for box in inside if min(box[2] - box[0], box[3] - box[1]) >= min_side]


def turn_box(box: Box, turn: int, size: tuple[float, float], scale: float = 1) -> Box:
    """A box of a stored picture where a person sees it.

    Args:
        box: xyxy, pixels of the stored picture.
        turn: EXIF's orientation, 1 to 8.
        size: Width and height of the picture as a person sees it, and scaled.
        scale: What the sides of the stored picture were multiplied by.
    """
    x1, y1, x2, y2 = (side * scale for side in box)
    if turn >= 5:
        x1, y1, x2, y2 = y1, x1, y2, x2
    if turn in (2, 3, 6, 7):
        x1, x2 = size[0] - x2, size[0] - x1
    if turn in (3, 4, 7, 8):
        y1, y2 = size[1] - y2, size[1] - y1
    return x1, y1, x2, y2


@functools.cache
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(f'{cv2.data.haarcascades}haarcascade_frontalface_alt2.xml')  # type: ignore[attr-defined]


def _haar(image: np.ndarray, min_side: int) -> list[Box]:
    """By a cascade of Haar features (Viola and Jones, CVPR 2001), of frontal faces.

    Beside MTCNN's boxes, on 290 photos, its own are wider and cut chin and forehead: hence the factors.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    # A wall that is taken for a face is worse than a face that is not seen: 6 neighbours instead of the usual 3.
    found = _cascade().detectMultiScale(grey, scaleFactor=1.2, minNeighbors=6, minSize=(min_side, min_side))
    return [(x + 0.09 * w, y - 0.04 * h, x + 0.9 * w, y + 1.06 * h) for x, y, w, h in np.array(found).tolist()]


@functools.cache
def _network(min_side: int):
    try:
        from facenet_pytorch import MTCNN
    except ImportError as error:
        raise ValueError(
            f'MTCNN cannot be imported ({error}): pip install --no-deps facenet-pytorch, or find faces by haar'
        ) from error
    import torch

    torch.set_num_threads(1)  # as many processes as cores are at work
    return MTCNN(keep_all=True, device='cpu', min_face_size=min_side)


def _mtcnn(image: np.ndarray, min_side: int) -> list[Box]:
    """By three small networks (Zhang et al., IEEE Signal Processing Letters 2016)."""
    boxes, scores = _network(min_side).detect(np.ascontiguousarray(image[:, :, ::-1]))
    return [] if boxes is None else [tuple(b) for b, score in zip(boxes.tolist(), scores) if score >= MIN_CONFIDENCE]


FINDERS: dict[str, Callable[[np.ndarray, int], list[Box]]] = dict(haar=_haar, mtcnn=_mtcnn)
