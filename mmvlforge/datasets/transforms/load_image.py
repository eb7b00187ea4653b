"""Decode a picture, no larger than needed."""

import io
from typing import Optional, Tuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmvlforge.registry import TRANSFORMS

# libjpeg decodes at these fractions of the size for less than the price of the whole.
_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class UnusableImageError(ValueError):
    """A picture that is missing, cannot be decoded or does not hold its box."""


def read_image(path: str) -> bytes:
    """The file's bytes. Raises UnusableImageError."""
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise UnusableImageError(f'{path} cannot be read: {error}') from error


def decode_image(
    data: bytes, name: str, target_size: Optional[Tuple[int, int]] = None
) -> Tuple[np.ndarray, Tuple[int, int]]:
    """Decode a picture of any format, a JPEG at 1/2, 1/4 or 1/8 of its size where that covers the target.

    EXIF rotation is ignored, an alpha channel is dropped.

    Args:
        data: The file's bytes.
        name: What an error calls the picture.
        target_size: Width and height in pixels that the network will see; None decodes at full size.

    Returns:
        The picture, uint8 ``(H, W, 3)`` BGR, and width and height of the stored one.

    Raises:
        UnusableImageError: The bytes are no whole picture.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:  # reads the header only
            img = None
            # OpenCV decodes the usual JPEG fastest. Pillow knows the other formats, and what is wrong with a file.
            if image.format == 'JPEG' and image.mode in ('RGB', 'L'):
                flags = _JPEG_FLAGS[_fraction(image.size, target_size)] | cv2.IMREAD_IGNORE_ORIENTATION
                img = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
            if img is None:
                img = cv2.cvtColor(np.asarray(image.convert('RGB')), cv2.COLOR_RGB2BGR)
            return img, image.size
    except Exception as error:  # on damaged bytes the decoders raise about anything, a TypeError among others
        raise UnusableImageError(f'{name} cannot be read: {error}') from error


def _fraction(size: Tuple[int, int], target_size: Optional[Tuple[int, int]]) -> int:
    """The largest n of 1, 2, 4, 8 such that 1/n of the size still covers the target."""
    if target_size is None:
        return 1
    room = min(size[0] // target_size[0], size[1] // target_size[1])
    return max(n for n in _JPEG_FLAGS if n == 1 or n <= room)


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read a picture of any format as BGR, as OpenMMLab's transforms expect it.

    EXIF rotation is ignored, because annotated boxes are in pixels of the stored image. A JPEG far larger than the
    network's input is decoded at 1/2, 1/4 or 1/8 of its size (libjpeg's scaled decoding), never below
    ``target_size``; boxes follow.

    Required Keys: img_path, box
    Added Keys: img (uint8 ``(H, W, 3)`` BGR), img_shape (of ``img``), ori_shape (of the stored image),
    gt_bboxes (float32 ``(0 or 1, 4)``, xyxy pixels of ``img``)

    Args:
        target_size: Width and height in pixels that the network will see; None decodes at full size.
    """

    def __init__(self, target_size: Optional[Tuple[int, int]] = None) -> None:
        self.target_size = target_size

    def transform(self, results: dict) -> dict:
        """Decode ``results['img_path']``. Raises UnusableImageError for a missing or broken file or a box outside."""
        path = results['img_path']
        img, (width, height) = decode_image(read_image(path), path, self.target_size)
        if results['box'] and (results['box'][2] > width or results['box'][3] > height):
            raise UnusableImageError(f'{path} has {width}x{height} pixels, but the box is {results["box"]}')
        results['img'] = img
        results['ori_shape'] = (height, width)
        results['img_shape'] = img.shape[:2]
        boxes = np.array(results['box'] or [], np.float32).reshape(-1, 4)
        if img.shape[:2] != (height, width):
            boxes[:, 0::2] *= img.shape[1] / width
            boxes[:, 1::2] *= img.shape[0] / height
        results['gt_bboxes'] = boxes
        return results
