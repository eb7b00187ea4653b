"""Decode frames of a video."""

from typing import List, Tuple

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
        frames, total = self._read(path, None)
        if not frames and total:
            frames, total = self._read(path, total)
        if not frames:
            raise UnusableImageError(f'{path} cannot be read: no video frame in it, or no such file')
        results['imgs'] = frames
        return results

    def _read(self, path: str, total) -> Tuple[List[np.ndarray], int]:
        """The frames, none if the video ends too early, and the number of frames that were there."""
        video = cv2.VideoCapture(path)
        try:
            total = total or int(video.get(cv2.CAP_PROP_FRAME_COUNT))
            wanted = (2 * np.arange(self.num_frames) + 1) * max(total, 0) // (2 * self.num_frames)
            frames, number = [], 0
            while len(frames) < self.num_frames and video.grab():
                if number in wanted:
                    frame = video.retrieve()[1]
                    frames += [frame] * int((wanted == number).sum())
                number += 1
            return (frames if len(frames) == self.num_frames else []), number
        finally:
            video.release()
