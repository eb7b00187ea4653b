"""Decode pictures and frames, no larger than needed."""

import io

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmvlforge.annotations import box_inside
from mmvlforge.registry import TRANSFORMS

__all__ = ['LoadFrames', 'LoadImage', 'LoadImageGroup', 'UnusableImageError', 'decode_image', 'read_image']

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
    data: bytes, name: str, target_size: tuple[int, int] | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
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
                img = cv2.cvtColor(np.asarray(rgb(image)), cv2.COLOR_RGB2BGR)
            return img, image.size
    except Exception as error:  # on damaged bytes the decoders raise about anything, a TypeError among others
        raise UnusableImageError(f'{name} cannot be read: {error}') from error


def rgb(image: Image.Image) -> Image.Image:
    """A picture in 8 bits of red, green and blue. Pillow alone would cut 16 bits of grey off at white."""
    if image.mode.startswith('I') and np.asarray(image).max(initial=0) > 255:
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    return image.convert('RGB')


def _fraction(size: tuple[int, int], target_size: tuple[int, int] | None) -> int:
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

    A box that reaches a little beyond the picture is cut at its edge: by ``box_tolerance`` pixels at most.

    Required Keys: img_path, box, box_tolerance (optional, 1)
    Added Keys: img (uint8 ``(H, W, 3)`` BGR), img_shape (of ``img``), ori_shape (of the stored image),
    gt_bboxes (float32 ``(0 or 1, 4)``, xyxy pixels of ``img``), uncut_box (the box as annotated, if it was cut)
    Modified Keys: box

    Args:
        target_size: Width and height in pixels that the network will see; None decodes at full size.
    """

    def __init__(self, target_size: tuple[int, int] | None = None) -> None:
        self.target_size = target_size

    def transform(self, results: dict) -> dict:
        """Decode ``results['img_path']``. Raises UnusableImageError for a missing or broken file or a box outside."""
        path = results['img_path']
        img, (width, height) = decode_image(read_image(path), path, self.target_size)
        if results['box']:
            try:
                inside = box_inside(results['box'], (width, height), results.get('box_tolerance', 1))
            except ValueError as error:
                raise UnusableImageError(f'{path} does not hold its box: {error}') from error
            if inside != results['box']:
                results['uncut_box'], results['box'] = results['box'], inside
        results['img'] = img
        results['ori_shape'] = (height, width)
        results['img_shape'] = img.shape[:2]
        boxes = np.array(results['box'] or [], np.float32).reshape(-1, 4)
        if img.shape[:2] != (height, width):
            boxes[:, 0::2] *= img.shape[1] / width
            boxes[:, 1::2] *= img.shape[0] / height
        results['gt_bboxes'] = boxes
        return results


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

    def __init__(self, target_size: tuple[int, int] | None = None) -> None:
        self.target_size = target_size

    def transform(self, results: dict) -> dict:
        """Decode. Raises UnusableImageError for a missing or broken file, or a box without a pixel in it."""
        paths, box = results['img_paths'], results['box']
        contents = results.pop('img_bytes', None) or map(read_image, paths)
        target_size = None if box else self.target_size
        images = [decode_image(data, path, target_size)[0] for path, data in zip(paths, contents)]
        results['imgs'] = [_crop(image, path, box) for path, image in zip(paths, images)] if box else images
        return results


def _crop(img: np.ndarray, path: str, box: tuple[float, float, float, float]) -> np.ndarray:
    """The pixels that the box touches; what lies beyond the border is left away."""
    x, y, width, height = box
    x1, y1 = (max(int(np.floor(v)), 0) for v in (x, y))
    x2, y2 = (max(int(np.ceil(v)), 0) for v in (x + width, y + height))
    part = img[y1:y2, x1:x2]
    if not part.size:
        size = f'{img.shape[1]}x{img.shape[0]}'
        raise UnusableImageError(f'{path} has {size} pixels, none of them in the box {tuple(box)} (x, y, w, h)')
    return part


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

    def _read(self, path: str, total: int | None = None) -> tuple[list[np.ndarray], int]:
        """The frames of a video of ``total`` frames, none if it ends too early, and how many frames were there."""
        video = cv2.VideoCapture(path)
        try:
            total = total or max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)  # some files do not say
            wanted = [(2 * i + 1) * total // (2 * self.num_frames) for i in range(self.num_frames)] if total else []
            frames: list[np.ndarray] = []
            number = 0
            while len(frames) < self.num_frames and video.grab():
                if number in wanted:
                    frames += [video.retrieve()[1]] * wanted.count(number)
                number += 1
            return (frames if len(frames) == self.num_frames else []), number
        finally:
            video.release()
