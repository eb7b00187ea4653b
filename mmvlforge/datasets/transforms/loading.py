"""Decode pictures and frames, no larger than needed."""

import io
import warnings
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, Compose
from PIL import Image, UnidentifiedImageError

from mmvlforge.annotations import box_inside
from mmvlforge.datasets.feature_cache import FeatureCache
from mmvlforge.datasets.transforms.file_kinds import kind_of_file
from mmvlforge.registry import TRANSFORMS

__all__ = [
    'MAX_PIXELS',
    'LoadFrames',
    'LoadImage',
    'LoadImageFeatures',
    'LoadImageGroup',
    'UnusableImageError',
    'check_size',
    'decode_image',
    'open_image',
    'read_image',
    'rgb',
]

MAX_PIXELS = 100_000_000  # of a picture; to decode so many takes about a gigabyte
ORIENTATIONS = ('stored', 'seen')
_ORIENTATION = 274  # tag of EXIF
_RUN_OR_STUB = ('EPS', 'MPEG')  # Pillow would start Ghostscript for the one, and only knows the name of the other

# Between one and two times its own limit Pillow warns; ours is checked, and told as an error.
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)

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


def open_image(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read the header of a picture of any format; nothing is decoded yet.

    Args:
        data: The file's bytes.
        name: What an error calls the picture.
        max_pixels: A picture of more pixels is refused.

    Raises:
        UnusableImageError: The bytes are no picture, or one of too many pixels.
    """
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels  # else Pillow would refuse what was asked for
    try:
        image = Image.open(io.BytesIO(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name, f'more than {max_pixels}', max_pixels) from None
    except UnidentifiedImageError:
        raise UnusableImageError(f'{name} cannot be read: it is {kind_of_file(data)}') from None
    except Exception as error:  # on damaged bytes the decoders raise about anything, a TypeError among others
        raise UnusableImageError(f'{name} cannot be read: {error}') from error
    if image.format in _RUN_OR_STUB:
        raise UnusableImageError(f'{name} cannot be read: it is {kind_of_file(data)}')
    check_size(image.size, name, max_pixels)
    return image


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Raise UnusableImageError for a picture of more pixels than are to be decoded."""
    if size[0] * size[1] > max_pixels:
        raise _too_large(name, f'{size[0]}x{size[1]}', max_pixels)


def _too_large(name: str, pixels: str, max_pixels: int) -> UnusableImageError:
    return UnusableImageError(
        f'{name} is not decoded: it has {pixels} pixels, the limit is max_pixels={max_pixels}; make it smaller, or '
        'raise max_pixels where pictures are loaded (a pixel takes about 10 bytes of memory)'
    )


def decode_image(
    data: bytes,
    name: str,
    target_size: tuple[int, int] | None = None,
    orientation: str = 'stored',
    max_pixels: int = MAX_PIXELS,
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode a picture of any format, a JPEG at 1/2, 1/4 or 1/8 of its size where that covers the target.

    An alpha channel is dropped. Of a moving picture or a file of pages it is the first.

    Args:
        data: The file's bytes.
        name: What an error calls the picture.
        target_size: Width and height in pixels that the network will see; None decodes at full size.
        orientation: ``'stored'`` ignores EXIF rotation, ``'seen'`` turns the picture as a person sees it.
        max_pixels: A picture of more pixels is refused before it is decoded.

    Returns:
        The picture, uint8 ``(H, W, 3)`` BGR, and width and height of the whole one, turned likewise.

    Raises:
        UnusableImageError: The bytes are no whole picture, or one of too many pixels.
    """
    with open_image(data, name, max_pixels) as image:
        try:
            img, size, seen = None, image.size, orientation == 'seen'
            # Pillow sets a TIFF upright by itself.
            turn = exif_orientation(image) if seen or image.format == 'TIFF' else 1
            # OpenCV decodes the usual JPEG fastest. Pillow knows the other formats, and what is wrong with a file.
            if image.format == 'JPEG' and image.mode in ('RGB', 'L'):
                target = target_size[::-1] if target_size and turn >= 5 else target_size
                flags = _JPEG_FLAGS[_fraction(size, target)] | cv2.IMREAD_IGNORE_ORIENTATION
                img = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
            if img is None:
                img = cv2.cvtColor(np.asarray(rgb(image)), cv2.COLOR_RGB2BGR)
                if turn != 1 and image.format == 'TIFF' and exif_orientation(image) == 1:
                    img = upright(img, _BACK.get(turn, turn))
                size = img.shape[1], img.shape[0]
        except UnusableImageError:
            raise
        except Exception as error:
            raise UnusableImageError(f'{name} cannot be read: {error}') from error
    if not seen or turn == 1:
        return img, size
    return upright(img, turn), (size if turn < 5 else size[::-1])


def exif_orientation(image: Image.Image) -> int:
    """How a picture is to be turned, 1 (not at all) to 8; 1 too where EXIF is broken or says something else."""
    try:
        turn = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # of strange bytes, as in decoding
        return 1
    return turn if turn in range(1, 9) else 1


def upright(img: np.ndarray, turn: int) -> np.ndarray:
    """Turn a stored picture as EXIF's orientation, 1 to 8, says."""
    if turn >= 5:
        img = img.transpose(1, 0, 2)
    if turn in (2, 3, 6, 7):
        img = img[:, ::-1]
    if turn in (3, 4, 7, 8):
        img = img[::-1]
    return np.ascontiguousarray(img)


_BACK = {6: 8, 8: 6}  # the other turns undo themselves


def rgb(image: Image.Image) -> Image.Image:
    """A picture in 8 bits of red, green and blue.

    More bits of grey, which Pillow alone would cut off at white, are scaled: 16 bits by 65535 (12-bit TIFF by 4095),
    integers of 32 bits and floating-point numbers by the range they fill, 0 to 255 or 65535, and 0 to 1 or 255.

    Raises:
        ValueError: Values that are in none of these ranges, or no numbers.
    """
    if image.mode == 'F' or image.mode.startswith('I'):
        image = Image.fromarray(_eight_bits(image))
    elif image.mode == 'P' and 'transparency' in image.info:
        image = image.convert('RGBA')  # by way of which Pillow does not warn
    return image if image.mode == 'RGB' else image.convert('RGB')  # which would copy


def _eight_bits(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    tags = dict(getattr(image, 'tag_v2', {}))
    lowest, highest = values.min(), values.max()
    white = None
    if image.mode.startswith('I;') or image.format in ('PNG', 'PPM'):
        white = 4095 if tags.get(_BITS) == (12,) else 65535
    elif image.mode == 'I' and lowest >= 0:
        white = next((most for most in (255, 65535) if highest <= most), None)
    elif image.mode == 'F' and lowest >= 0 and np.isfinite(highest):
        # A largest value a little above 1 would be black by the one reading and white by the other.
        white = 1 if highest <= 1 else 255 if 16 <= highest <= 255 else None
    if white is None:
        kind = 'floating-point' if image.mode == 'F' else '32-bit'
        ranges = '0 to 1 or 0 to 255' if image.mode == 'F' else '0 to 255 or 0 to 65535'
        raise ValueError(
            f'its {kind} values lie in {lowest} to {highest}, must fill {ranges}; save it in 8 bits of grey'
        )
    grey = np.rint(values * (255 / white)).astype(np.uint8)
    return 255 - grey if tags.get(_PHOTOMETRIC) == 0 else grey  # 0 is white there


_BITS, _PHOTOMETRIC = 258, 262  # tags of TIFF


def _fraction(size: tuple[int, int], target_size: tuple[int, int] | None) -> int:
    """The largest n of 1, 2, 4, 8 such that 1/n of the size still covers the target."""
    if target_size is None:
        return 1
    room = min(size[0] // target_size[0], size[1] // target_size[1])
    return max(n for n in _JPEG_FLAGS if n == 1 or n <= room)


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read a picture of any format as BGR, as OpenMMLab's transforms expect it.

    A JPEG far larger than the network's input is decoded at 1/2, 1/4 or 1/8 of its size (libjpeg's scaled decoding),
    never below ``target_size``; boxes follow.

    A box that reaches a little beyond the picture, by ``box_tolerance`` pixels at most, is cut at its edge in
    ``gt_bboxes``; ``box`` stays as annotated.

    Required Keys: img_path, box, box_tolerance (optional, 1)
    Added Keys: img (uint8 ``(H, W, 3)`` BGR), img_shape (of ``img``), ori_shape (of the whole picture), orientation,
    gt_bboxes (float32 ``(0 or 1, 4)``, xyxy pixels of ``img``), box_cut (whether a part of the box was cut off)

    Args:
        target_size: Width and height in pixels that the network will see; None decodes at full size.
        orientation: In which frame boxes are annotated, and the picture is read: ``'stored'`` ignores EXIF rotation, as
            DGM⁴'s boxes do; ``'seen'`` turns the picture as a person sees it.
        max_pixels: A picture of more pixels is unusable.
    """

    def __init__(
        self,
        target_size: tuple[int, int] | None = None,
        orientation: str = 'stored',
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if orientation not in ORIENTATIONS:
            raise ValueError(f'orientation must be one of {ORIENTATIONS}, got {orientation!r}')
        self.target_size = target_size
        self.orientation = orientation
        self.max_pixels = max_pixels

    def transform(self, results: dict) -> dict:
        """Decode ``results['img_path']``. Raises UnusableImageError for a missing or broken file or a box outside."""
        path = results['img_path']
        data = read_image(path)
        img, (width, height) = decode_image(data, path, self.target_size, self.orientation, self.max_pixels)
        inside = results['box'] or []
        if inside:
            try:
                inside = box_inside(results['box'], (width, height), results.get('box_tolerance', 1))
            except ValueError as error:
                raise UnusableImageError(f'{path} does not hold its box: {error}') from error
            results['box_cut'] = inside != results['box']
        results['img'] = img
        results['ori_shape'] = (height, width)
        results['img_shape'] = img.shape[:2]
        results['orientation'] = self.orientation
        boxes = np.array(inside, np.float32).reshape(-1, 4)
        if img.shape[:2] != (height, width):
            boxes[:, 0::2] *= img.shape[1] / width
            boxes[:, 1::2] *= img.shape[0] / height
        results['gt_bboxes'] = boxes
        return results


@TRANSFORMS.register_module()
class LoadImageGroup(BaseTransform):
    """Read the F pictures of a group as a person sees them (EXIF rotation applied), or the part that is meant.

    Required Keys: img_paths, box (xywh in pixels of the stored picture, or None), img_bytes (optional, list of the
    files' contents where they are at hand)
    Added Keys: imgs (list of uint8 ``(H, W, 3)`` BGR)

    Args:
        target_size: Width and height in pixels that are needed; a JPEG far larger is decoded at 1/2, 1/4 or 1/8 of
            its size, never below this, unless a part of it is cut out. None decodes at full size.
        max_pixels: A picture of more pixels is unusable.
    """

    orientation = 'seen'

    def __init__(self, target_size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> None:
        self.target_size = target_size
        self.max_pixels = max_pixels

    def transform(self, results: dict) -> dict:
        """Decode. Raises UnusableImageError for a missing or broken file, or a box without a pixel in it."""
        paths, box = results['img_paths'], results['box']
        contents = results.pop('img_bytes', None) or map(read_image, paths)
        results['imgs'] = [self._load(data, path, box) for path, data in zip(paths, contents)]
        return results

    def _load(self, data: bytes, path: str, box: tuple[float, float, float, float] | None) -> np.ndarray:
        if not box:
            return decode_image(data, path, self.target_size, 'seen', self.max_pixels)[0]
        part = _crop(decode_image(data, path, max_pixels=self.max_pixels)[0], path, box)
        with open_image(data, path, self.max_pixels) as image:
            return upright(part, exif_orientation(image))


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
class LoadImageFeatures(BaseTransform):
    """Read what a frozen image encoder has made of the F pictures of a group, or the one of a pair, in their place.

    FeatureCacheHook fills the folder before the first epoch. An epoch then costs only what is trained, and every epoch
    sees the same: there can be no augmentation of pictures, and the hook refuses transforms that try. The picture of a
    pair is read all the same, for its size and its box.

    Required Keys: img_paths and box (None: parts of pictures are not kept) of a group, img_path of a pair
    Added Keys: imgs (list of ``(T, C, 1)``, as a picture of one channel: T tokens of C channels) of a group; of a pair
    img, likewise, and what ``transforms`` add, which are run for shapes and boxes

    Args:
        folder: Where the features are; one for each set of pictures.
        transforms: How pictures are read and prepared for the encoder: what would stand in the pipeline without this.
    """

    def __init__(self, folder: str, transforms: Sequence[dict]) -> None:
        self.folder = folder
        self.transforms = list(transforms)
        self._prepare = Compose([TRANSFORMS.build(transform) for transform in transforms])
        self._cache: FeatureCache | None = None

    def picture(self, path: str) -> np.ndarray:
        """A picture as the encoder reads it, uint8 ``(H, W, 3)`` BGR. Raises UnusableImageError."""
        found = self._prepare(dict(img_path=path, img_paths=[path], box=None))
        return found['img'] if 'img' in found else found['imgs'][0]

    def transform(self, results: dict) -> dict:
        """Read. Raises ValueError where a picture has no features."""
        if 'img_path' in results:
            results = self._prepare(results)
            results['img'] = self._tokens(results['img_path'])
            return results
        if results['box']:
            raise ValueError(
                f'{results["img_paths"][0]}: features of a part of a picture, {results["box"]}, are not kept'
            )
        results['imgs'] = [self._tokens(path) for path in results['img_paths']]
        return results

    def _tokens(self, path: str) -> np.ndarray:
        if self._cache is None:
            self._cache = FeatureCache(self.folder)
        return np.array(self._cache.tokens(path))[:, :, None]


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
