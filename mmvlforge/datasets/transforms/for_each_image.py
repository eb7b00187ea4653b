"""Transforms of one picture, for the pictures of a group."""

from typing import Sequence

from mmcv.transforms import BaseTransform, Compose

from mmvlforge.registry import TRANSFORMS


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
