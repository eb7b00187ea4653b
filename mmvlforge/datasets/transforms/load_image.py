"""Decode a picture, no larger than needed."""

from typing import Optional, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmvlforge.registry import TRANSFORMS


class UnusableImageError(ValueError):
    """A picture that is missing, cannot be decoded or does not hold its box."""


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
        try:
            with Image.open(results['img_path']) as image:
                width, height = image.size
                if self.target_size is not None:
                    image.draft('RGB', self.target_size)
                img = np.asarray(image.convert('RGB'))[..., ::-1]
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise UnusableImageError(f'cannot be read: {error}') from error
        if results['box'] and (results['box'][2] > width or results['box'][3] > height):
            raise UnusableImageError(f"has {width}x{height} pixels, but the box is {results['box']}")
        results['img'] = np.ascontiguousarray(img)
        results['ori_shape'] = (height, width)
        results['img_shape'] = img.shape[:2]
        scale = np.tile([img.shape[1] / width, img.shape[0] / height], 2)
        results['gt_bboxes'] = (np.array(results['box']).reshape(-1, 4) * scale).astype(np.float32)
        return results
