"""What people give to a model: pictures and captions, alone or together, one or a million."""

import csv
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageOps

from mmvlforge.annotations.json_files import decoded_lines, parse_json
from mmvlforge.annotations.values import text_fault
from mmvlforge.datasets.transforms.loading import (
    MAX_PIXELS,
    UnusableImageError,
    check_size,
    decode_image,
    open_image,
    read_image,
    rgb,
)

__all__ = ['IMAGE_SUFFIXES', 'ImageSource', 'Picture', 'Query', 'batched', 'read_list', 'read_queries']

# Pictures that Pillow may lack a decoder for are among them: they are refused by name, and not passed over.
IMAGE_SUFFIXES = (
    *('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff'),
    *('.avif', '.heic', '.heif', '.jp2', '.jxl'),
)

ImageSource = str | Path | np.ndarray | Image.Image


class Query(NamedTuple):
    """One thing that is asked about.

    Attributes:
        image: File, RGB array uint8 ``(H, W, 3)`` or PIL picture; None for a caption alone.
        caption: None for a picture alone.
        id: The user's own name for it.
        columns: What else its record says, by name.
    """

    image: ImageSource | None = None
    caption: str | None = None
    id: Any = None
    columns: Mapping[str, Any] = {}

    @property
    def image_name(self) -> str | None:
        """The file's name, None of a picture that is none."""
        return str(self.image) if isinstance(self.image, (str, Path)) else None


def read_queries(inputs: Any) -> Iterator[Query]:
    """One query after another, from whatever form they come in; nothing is read before it is asked for.

    Args:
        inputs: A picture (file, array or PIL), a folder of pictures, a ``.csv`` or ``.jsonl`` file with ``image``,
            ``caption`` and ``id`` (pictures relative to that file, each column may be missing), a pair ``(image,
            caption)``, a dict with such fields, a :class:`Query`, or a list or generator of any of these.

    Raises:
        ValueError: A form that is none of these, or a line of a file that is broken (file, line, field).
    """
    if isinstance(inputs, Query):
        yield inputs
    elif isinstance(inputs, dict):
        yield _from_fields(inputs, 'query')
    elif isinstance(inputs, (np.ndarray, Image.Image)):
        yield Query(inputs)
    elif isinstance(inputs, (str, Path)):
        for query in _from_path(Path(inputs)):
            if isinstance(query, ValueError):
                raise query
            yield query
    elif isinstance(inputs, tuple) and len(inputs) == 2:
        yield _from_fields(dict(image=inputs[0], caption=inputs[1]), 'pair')
    elif isinstance(inputs, Iterable) and not isinstance(inputs, bytes):
        for item in inputs:
            yield from read_queries(item)
    else:
        raise ValueError(f'{type(inputs).__name__} is no picture, pair, folder, csv or jsonl file, nor a list of such')


def read_list(path: str | Path) -> Iterator[Query | ValueError]:
    """The queries of a ``.csv`` or ``.jsonl`` file, and in place of a broken one an error that says where and why.

    Args:
        path: The file, as in :func:`read_queries`.

    Raises:
        ValueError: It has another ending, or is broken so that nobody can tell where the next record begins.
    """
    path = Path(path)
    if path.suffix.lower() not in ('.csv', '.jsonl'):
        raise ValueError(f'{path}: must be a .csv or .jsonl file with image and caption')
    return _from_path(path)


def _from_path(path: Path) -> Iterator[Query | ValueError]:
    if path.is_dir():
        files = sorted(file for file in path.rglob('*') if _is_picture(file))
        if not files:
            raise ValueError(f'{path}: no picture in this folder; known endings are {", ".join(IMAGE_SUFFIXES)}')
        yield from (Query(str(file)) for file in files)
    elif path.suffix.lower() == '.csv':
        yield from _from_csv(path)
    elif path.suffix.lower() == '.jsonl':
        with open(path, encoding='utf-8-sig', newline='\n') as file:
            for number, line in enumerate(decoded_lines(file, path), 1):
                if line.strip():
                    yield _from_line(line, path, number)
    else:
        yield Query(str(path))


def _from_line(line: str, path: Path, number: int) -> Query | ValueError:
    try:
        return _from_fields(parse_json(line, path, number), f'{path}:{number}', path.parent)
    except ValueError as error:
        return error


def _is_picture(file: Path) -> bool:
    # A Mac leaves '._a.jpg' beside 'a.jpg' on foreign disks: no picture, but what its file system knows of it.
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith('._') and not file.is_dir()


def _from_csv(path: Path) -> Iterator[Query | ValueError]:
    with open(path, encoding='utf-8-sig', newline='') as file:
        rows = csv.DictReader(decoded_lines(file, path), strict=True)
        try:
            columns = rows.fieldnames or []
            if not {'image', 'caption'} & set(columns):
                raise ValueError(f"{path}: needs a column 'image' or 'caption'; its first line has {columns!s:.200}")
            if len(set(columns)) < len(columns):
                raise ValueError(f'{path}: a column stands twice in the first line {columns!s:.200}')
            for row in rows:
                where = f'{path}:{rows.line_num}'
                try:
                    if None in row:
                        raise ValueError(
                            f'{where}: more fields than the {len(columns)} columns; quote a text with commas'
                        )
                    query: Query | ValueError = _from_fields(row, where, path.parent)
                except ValueError as error:
                    query = error
                yield query
        except csv.Error as error:
            raise ValueError(f'{path}:{rows.line_num}: broken CSV: {error}') from error


def _from_fields(fields: Any, where: str, folder: Path | None = None) -> Query:
    """Check the fields of one query; an empty one counts as missing."""
    if not isinstance(fields, dict):
        raise ValueError(f'{where}: {fields!r:.60} must be an object with image, caption and id')
    image, caption, id = (None if _is_empty(fields.get(name)) else fields[name] for name in ('image', 'caption', 'id'))
    if image is None and caption is None:
        raise ValueError(f'{where}: needs an image or a caption; it has {sorted(map(str, fields))!s:.200}')
    if caption is not None and not isinstance(caption, str):
        raise ValueError(f'{where}: caption is {caption!r:.60}, must be a string')
    for name, value in (('caption', caption), ('image', image)):
        if isinstance(value, str) and (fault := text_fault(value)):
            raise ValueError(f'{where}: {name} {fault}')
    if image is not None and not isinstance(image, (str, Path, np.ndarray, Image.Image)):
        raise ValueError(f'{where}: image is {image!r:.60}, must be a file, an RGB array or a PIL picture')
    if isinstance(image, (str, Path)) and folder is not None:
        image = str(folder / image)
    return Query(image, caption, id, {n: fields[n] for n in fields if n not in ('image', 'caption', 'id')})


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


class Picture:
    """A picture as a person sees it: EXIF rotation applied, an alpha channel dropped.

    Args:
        source: File, the bytes of one, RGB array uint8 ``(H, W, 3)`` or PIL picture.
        max_pixels: A file or PIL picture of more pixels is refused before it is decoded.

    Attributes:
        data: The file's bytes, or the pixels of a picture that is no file; None after :meth:`forget`.

    Raises:
        UnusableImageError: The file is missing, or the PIL picture cannot be read.
        ValueError: An array of another form.
    """

    def __init__(self, source: ImageSource | bytes, max_pixels: int = MAX_PIXELS) -> None:
        self.name = str(source) if isinstance(source, (str, Path)) else 'picture'
        self.max_pixels = max_pixels
        self._array: np.ndarray | None = None
        self.data: bytes | None
        if isinstance(source, Image.Image):
            check_size(source.size, 'the picture', max_pixels)
            try:
                self._array = np.asarray(rgb(ImageOps.exif_transpose(source)))
            except Exception as error:  # Pillow reads it now
                raise UnusableImageError(f'the picture cannot be read: {error}') from error
            self.data = self._array.tobytes()
        elif isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
                raise ValueError(
                    f'picture array of type {source.dtype} and shape {source.shape}, must be uint8 (H, W, 3), RGB'
                )
            self._array, self.data = source, source.tobytes()
        elif isinstance(source, bytes):
            self.data = source
        else:
            self.data = read_image(self.name)

    @property
    def is_file(self) -> bool:
        """Whether it was read from a file, or the bytes of one."""
        return self._array is None

    @cached_property
    def sha256(self) -> str:
        """Digest of the file; of an array, of its bytes."""
        return hashlib.sha256(self._data()).hexdigest()

    def forget(self) -> 'Picture':
        """Keep what a result says of it and let go of the picture itself, which then cannot be decoded again."""
        self.has_more, self.sha256  # noqa: B018  # they are kept
        self._array = self.data = None
        return self

    def _data(self) -> bytes:
        if self.data is None:
            raise ValueError(f'{self.name}: was forgotten')
        return self.data

    def load(self, target_size: tuple[int, int] | None = None) -> tuple[np.ndarray, tuple[int, int]]:
        """Decode.

        Args:
            target_size: Width and height that are needed; a JPEG far larger is decoded at a fraction of its size.

        Returns:
            The picture, BGR uint8 ``(H, W, 3)``, and height and width of the whole picture, upright.

        Raises:
            UnusableImageError: The bytes are no whole picture, or one of too many pixels.
        """
        if self._array is not None:
            return cv2.cvtColor(self._array, cv2.COLOR_RGB2BGR), self._array.shape[:2]
        img, (width, height) = decode_image(self._data(), self.name, target_size, 'seen', self.max_pixels)
        return img, (height, width)

    @cached_property
    def has_more(self) -> bool:
        """Whether the file holds further pictures or pages, of which only the first is read."""
        if self._array is not None:
            return False
        with open_image(self._data(), self.name, self.max_pixels) as image:
            # A telephone's MPO is one photograph; what follows in the file belongs to it.
            return image.format != 'MPO' and bool(getattr(image, 'is_animated', False))

    def rgb(self) -> np.ndarray:
        """The whole picture, RGB uint8 ``(H, W, 3)``."""
        return cv2.cvtColor(self.load()[0], cv2.COLOR_BGR2RGB)


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Lists of ``size`` items, the last one shorter."""
    if size < 1:
        raise ValueError(f'batch_size must be at least 1, got {size}')
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
