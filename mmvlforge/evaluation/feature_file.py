"""Features of any retrieval system, from a file."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from mmvlforge.annotations.values import one_line

__all__ = ['read_features']

ARRAYS = ('image_feats', 'text_feats', 'text_to_image')

# An array beyond this may unpack to this many times its part of the file: features hardly pack at all, and a file of
# zeros packs a thousandfold.
_UNPACKED, _RATIO = 64 * 2**20, 20


def read_features(path: str | Path) -> dict[str, np.ndarray]:
    """Read a NumPy archive as :func:`mmvlforge.evaluation.retrieval.image_text_metrics` wants it.

    What an array's header promises is compared with what the archive holds before any memory is taken for it.

    Args:
        path: The archive, with ``image_feats (Ni, D)``, ``text_feats (Nt, D)`` and ``text_to_image (Nt,)``; others in
            it are ignored, pickled objects refused.

    Raises:
        ValueError: It is no such archive, or it is damaged (file and array).
        OSError: There is no such file.
    """
    with open(path, 'rb') as file:
        if file.read(6) == b'\x93NUMPY':
            raise ValueError(f'{path}: a single array, must be an archive as numpy.savez writes it')
        where = str(path)
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
                missing = [name for name in ARRAYS if f'{name}.npy' not in names]
                if missing:
                    held = ', '.join(name.removesuffix('.npy') for name in names)
                    raise ValueError(f'no array {", ".join(missing)}; it has {held[:200] or "none"}')
                arrays = {}
                for name in ARRAYS:
                    where = f'{path}: array {name}'
                    if names.count(f'{name}.npy') > 1:
                        raise ValueError('stands in it twice')
                    arrays[name] = _read(archive, name)
                return arrays
        except Exception as error:  # on damaged bytes the readers raise about anything, a TokenError among others
            reason = str(error).split('\n')[0] or type(error).__name__
            raise ValueError(f'{where}: {one_line(reason)}') from error


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array. Raises whatever is wrong with it."""
    entry = archive.getinfo(f'{name}.npy')
    with archive.open(entry) as file:
        _check_header(entry, file)
    with archive.open(entry) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read()  # only at its end is the checksum compared
    return array


def _check_header(entry: zipfile.ZipInfo, file: IO[bytes]) -> None:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f'is of version {version} of the NPY format, must be 1.0 or 2.0')
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = read(file)
    except Exception as error:  # Python's own parser reads it, and raises about anything
        raise ValueError(f'has a header that cannot be read ({type(error).__name__})') from error
    if dtype.hasobject:
        raise ValueError('holds Python objects, which could run code (allow_pickle=False)')
    if dtype.kind not in 'biuf':
        raise ValueError(f'is of type {dtype}, must be numbers')
    if any(type(side) is not int or side < 0 for side in shape):
        raise ValueError(f'has the shape {shape}')
    promised, held = math.prod(shape) * dtype.itemsize, entry.file_size - file.tell()
    if promised != held:
        raise ValueError(
            f'should be {dtype} of shape {shape}, which is {promised} bytes, and has {held}: it is damaged'
        )
    if promised > _UNPACKED and promised > _RATIO * entry.compress_size:
        raise ValueError(
            f'{entry.compress_size} bytes that unpack to {promised}: no features pack like that; if they are real, '
            'write them with numpy.savez'
        )
