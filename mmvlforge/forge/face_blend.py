"""Self-blended faces: a face of a picture, moved a little and recoloured, is blended back into the same picture.

After "Detecting Deepfakes with Self-Blended Images" (Shiohara and Yamasaki, CVPR 2022), Sec. 3: a source-target
generator makes two slightly different versions of one picture, a mask generator deforms and softens the face's outline,
and the two are blended by it. No other person's face is used. Different here: only the part inside the mask changes
(the paper may also recolour the background), so that the mask's box is where the forgery is; and the outline is a
superellipse in the face's box instead of the hull of landmarks, for which no model comes with OpenCV.
"""

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ['Blending', 'blend_face', 'face_mask', 'pseudo_source']

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Blending:
    """How strong the traces are. Ranges are drawn from evenly; "of the face" is of its box's shorter side.

    Args:
        shift: Translation of the face at most, of the face (the paper's v).
        scale: Its scale lies this much about 1 (the paper's u).
        channels: Shift of each colour channel, in grey levels: at least the one in some channel, at most the other.
        hue: Turn of the hue in degrees, at most.
        gains: Saturation, brightness and contrast lie this much about 1, each.
        reduction: Every second face is drawn at a lower resolution, so many times smaller; the others are sharpened.
        axes: The outline's axes, in halves of the face's box.
        jitter: Deviation of the outline's radius, in parts of it.
        bend: Deviation of the mask's elastic deformation, of the face.
        blur: Deviation of the two Gaussian filters that soften the mask, of the face.
        ratios: Greatest weights of the blended face. The paper also has 0.25, which on small faces nobody could see,
            and no network once it is a JPEG file.
    """

    shift: float = 0.03
    scale: float = 0.05
    channels: tuple[float, float] = (5, 14)
    hue: float = 6
    gains: float = 0.12
    reduction: tuple[float, float] = (1.3, 2.5)
    axes: tuple[float, float] = (0.8, 1.05)
    jitter: float = 0.05
    bend: float = 0.04
    blur: tuple[float, float] = (0.03, 0.08)
    ratios: tuple[float, ...] = (0.5, 0.75, 1, 1, 1)


def blend_face(
    image: np.ndarray, face: Box, rng: np.random.Generator, blending: Blending | None = None
) -> tuple[np.ndarray, list[int]]:
    """Blend a face into its own picture.

    Args:
        image: BGR, uint8 ``(H, W, 3)``; it stays as it is.
        face: Tight box of the face, xyxy pixels inside the picture, at least 8 pixels wide and high.
        rng: What everything is drawn from.
        blending: Defaults to ``Blending()``.

    Returns:
        The forged picture, and the box of its mask, xyxy pixels; outside it no pixel is changed.

    Raises:
        ValueError: The box is smaller, or not inside the picture.
    """
    blending = blending or Blending()
    height, width = image.shape[:2]
    if not (0 <= face[0] <= face[2] - 8 and face[2] <= width and 0 <= face[1] <= face[3] - 8 and face[3] <= height):
        raise ValueError(f'face {face} must be 8 pixels or more, inside a picture of {width}x{height} pixels')
    # Room for what the deformation and the filters add.
    room = 0.5 * max(face[2] - face[0], face[3] - face[1])
    x1, y1 = (max(0, int(side - room)) for side in face[:2])
    x2, y2 = (min(end, int(np.ceil(side + room))) for side, end in zip(face[2:], (width, height)))
    inner = (face[0] - x1, face[1] - y1, face[2] - x1, face[3] - y1)

    mask = face_mask((y2 - y1, x2 - x1), inner, rng, blending)
    part = image[y1:y2, x1:x2]
    source = pseudo_source(part, inner, rng, blending)
    weight = float(rng.choice(blending.ratios)) * mask[:, :, None]
    forged = image.copy()
    forged[y1:y2, x1:x2] = np.clip(np.rint(part + weight * (source - part)), 0, 255)
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    box = (x1 + columns[0], y1 + rows[0], x1 + columns[-1] + 1, y1 + rows[-1] + 1)
    return forged, [int(side) for side in box]


def face_mask(shape: tuple[int, int], face: Box, rng: np.random.Generator, blending: Blending) -> np.ndarray:
    """The soft, deformed mask of a face, float32 ``shape``, from 0 to 1."""
    width, height = face[2] - face[0], face[3] - face[1]
    side = min(width, height)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    exponent = 2 / rng.uniform(2, 2.6)  # of a superellipse, a little squarer than an ellipse
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    outline = np.sign(directions) * np.abs(directions) ** exponent
    outline *= 1 + blending.jitter * rng.standard_normal((len(angles), 1))
    outline = outline * rng.uniform(*blending.axes, 2) * (width / 2, height / 2)
    outline += (np.add(face[0], face[2]) / 2, np.add(face[1], face[3]) / 2)
    mask: np.ndarray = np.zeros(shape, np.float32)
    cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)], 1.0, cv2.LINE_8, 4)

    field = blending.bend * side * rng.standard_normal((2, 4, 4)).astype(np.float32)
    grid = np.indices(shape, np.float32)[::-1]
    map_x, map_y = (
        base + cv2.resize(move, shape[::-1], interpolation=cv2.INTER_CUBIC) for base, move in zip(grid, field)
    )
    mask = cv2.remap(mask, map_x, map_y, cv2.INTER_LINEAR)

    # The first filter shrinks the mask to where it stays whole, the second softens what is left.
    first, second = rng.uniform(*blending.blur, 2) * side
    shrunk = np.where(cv2.GaussianBlur(mask, (0, 0), first) < 0.999, 0, 1).astype(np.float32)
    mask = cv2.GaussianBlur(shrunk, (0, 0), max(second, 0.8))
    # Nobody can see the last twentieth: without it the box lies close to what can be seen.
    return np.clip((mask / mask.max() - 0.05) / 0.95, 0, 1)


def pseudo_source(part: np.ndarray, face: Box, rng: np.random.Generator, blending: Blending) -> np.ndarray:
    """A face and what is about it, recoloured, at another sharpness, and moved, float32 ``(H, W, 3)``."""
    height, width = part.shape[:2]
    hsv = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_BGR2HSV)  # hue 0 to 360, the others 0 to 1
    hsv[:, :, 0] = (hsv[:, :, 0] + rng.uniform(-blending.hue, blending.hue)) % 360
    saturation, brightness, contrast = 1 + rng.uniform(-blending.gains, blending.gains, 3)
    hsv[:, :, 1] = np.clip(hsv[:, :, 1] * saturation, 0, 1)
    source: np.ndarray = 255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    mean = source.mean((0, 1))
    shift = rng.uniform(-1, 1, 3)
    shift *= rng.uniform(*blending.channels) / np.abs(shift).max()
    source = (source - mean) * np.float32(contrast) + (mean * brightness + shift).astype(np.float32)

    if rng.random() < 0.5:
        factor = rng.uniform(*blending.reduction)
        small = (max(1, round(width / factor)), max(1, round(height / factor)))
        source = cv2.resize(cv2.resize(source, small, interpolation=cv2.INTER_AREA), (width, height))
    else:
        amount = rng.uniform(0.3, 1)
        source = cv2.addWeighted(source, 1 + amount, cv2.GaussianBlur(source, (0, 0), 1), -amount, 0)

    middle = (np.add(face[:2], face[2:]) / 2).tolist()
    matrix: np.ndarray = cv2.getRotationMatrix2D(middle, 0, 1 + rng.uniform(-blending.scale, blending.scale))
    matrix[:, 2] += rng.uniform(-blending.shift, blending.shift, 2) * min(face[2] - face[0], face[3] - face[1])
    return cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
