"""Decode the pictures of a group."""

from typing import Optional, Tuple

import numpy as np
from mmcv.transforms import BaseTransform

from mmvlforge.datasets.transforms.load_image import UnusableImageError, decode_image, read_image
from mmvlforge.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImageGroup(BaseTransform):
    """Read the F pictures of a group, or the part of them that is meant.

    Required Keys: img_paths, box (xywh in pixels of the stored picture, or None), img_bytes (optional, list of the
    files' contents where they are at hand)
    Added Keys: imgs (list of uint8 ``(H, W, 3)`` BGR)

    Args:
        target_size: Width and height in pixels that are needed; a JPEG far larger is decoded at 1/2, 1/4 or 1/8 of
            its size, never below this, unless a part of it is cut out. None decodes at full size.
    """

    def __init__(self, target_size: Optional[Tuple[int, int]] = None) -> None:
        self.target_size = target_size

    def transform(self, results: dict) -> dict:
        """Decode. Raises UnusableImageError for a missing or broken file, or a box without a pixel in it."""
        paths, box = results['img_paths'], results['box']
        contents = results.pop('img_bytes', None) or map(read_image, paths)
        target_size = None if box else self.target_size
        images = [decode_image(data, path, target_size)[0] for path, data in zip(paths, contents)]
        results['imgs'] = [_crop(image, path, box) for path, image in zip(paths, images)] if box else images
        return results


def _crop(img: np.ndarray, path: str, box: Tuple[float, float, float, float]) -> np.ndarray:
    """The pixels that the box touches; what lies beyond the border is left away."""
    x, y, width, height = box
    x1, y1 = (max(int(np.floor(v)), 0) for v in (x, y))
    x2, y2 = (max(int(np.ceil(v)), 0) for v in (x + width, y + height))
    part = img[y1:y2, x1:x2]
    if not part.size:
        size = f'{img.shape[1]}x{img.shape[0]}'
        raise UnusableImageError(f'{path} has {size} pixels, none of them in the box {tuple(box)} (x, y, w, h)')
    return part
