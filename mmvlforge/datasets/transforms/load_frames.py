"""Decode frames of a video."""

from typing import List, Optional, Tuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmvlforge.datasets.transforms.load_image import UnusableImageError
from mmvlforge.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFrames(BaseTransform):
    """Read frames at even distances, the middles of as many equal parts of the video, with OpenCV.

    Frames are read in order, since seeking is inexact in many files; a file that has fewer frames than it says is read
    again with its true number. A video shorter than the number asked for gives some frames twice.

    Required Keys: img_paths (list of one video)
    Added Keys: imgs (list of uint8 ``(H, W, 3)`` BGR)

    Args:
        num_frames: Number of frames. Defaults to the paper's 8.
    """

    def __init__(self, num_frames: int = 8) -> None:
        self.num_frames = num_frames

    def transform(self, results: dict) -> dict:
        """Decode. Raises UnusableImageError for a missing file or one without frames."""
        (path,) = results['img_paths']
        frames, number = self._read(path)
        if not frames and number:
            frames, _ = self._read(path, number)
        if not frames:
            raise UnusableImageError(f'{path} cannot be read: no video frame in it, or no such file')
        results['imgs'] = frames
        return results

    def _read(self, path: str, total: Optional[int] = None) -> Tuple[List[np.ndarray], int]:
        """The frames of a video of ``total`` frames, none if it ends too early, and how many frames were there."""
        video = cv2.VideoCapture(path)
        try:
            total = total or max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)  # some files do not say
            wanted = [(2 * i + 1) * total // (2 * self.num_frames) for i in range(self.num_frames)] if total else []
            frames, number = [], 0
            while len(frames) < self.num_frames and video.grab():
                if number in wanted:
                    frames += [video.retrieve()[1]] * wanted.count(number)
                number += 1
            return (frames if len(frames) == self.num_frames else []), number
        finally:
            video.release()
