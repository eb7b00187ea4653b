"""Features of any retrieval system, from a file."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

__all__ = ['read_features']

ARRAYS = ('image_feats', 'text_feats', 'text_to_image')


def read_features(path: str | Path) -> dict[str, np.ndarray]:
    """Read a NumPy archive as :func:`mmvlforge.evaluation.retrieval.image_text_metrics` wants it.

    Args:
        path: The archive, with ``image_feats (Ni, D)``, ``text_feats (Nt, D)`` and ``text_to_image (Nt,)``; others in
            it are ignored, pickled objects refused.

    Raises:
        ValueError: It is no such archive, or it is damaged.
        OSError: There is no such file.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError('a single array, must be an archive as numpy.savez writes it')
        with archive:
            missing = [name for name in ARRAYS if name not in archive]
            if missing:
                raise ValueError(f'no array {", ".join(missing)}; it has {", ".join(archive) or "none"}')
            return {name: archive[name] for name in ARRAYS}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f'{path}: {error}') from error
