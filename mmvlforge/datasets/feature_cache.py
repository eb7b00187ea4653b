"""What a frozen image encoder makes of pictures, kept on disk, so that an epoch costs only what is trained."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmvlforge.annotations.json_files import read_json_object, write_json
from mmvlforge.annotations.values import one_line
from mmvlforge.manifest import file_fingerprint, file_stamp

__all__ = ['FeatureCache']

_TOKENS, _ABOUT, _DONE = 'tokens.npy', 'about.json', 'done'


class FeatureCache:
    """Tokens of a list of pictures in a memory-mapped file ``tokens.npy``: P pictures, T tokens, C channels.

    ``about.json`` says of what and by what they were made, ``done`` how many pictures are: who is killed goes on from
    there. A picture that was changed under the same name is told by its size, or by the time of its change and its
    bytes; one that is gone is not missed.

    Args:
        folder: Holds the three files.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / _ABOUT).is_file():
            raise ValueError(f'{self.folder}: holds no features of pictures; FeatureCacheHook makes them')
        about = read_json_object(self.folder / _ABOUT)
        try:
            self.key: dict[str, str] = dict(about['key'])
            self.pictures: list[str] = list(about['pictures'])
            self.stamps: list[list] = [list(stamp) for stamp in about['stamps']]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.folder / _ABOUT}: needs 'key', 'pictures' and 'stamps', {one_line(repr(error))}; delete the "
                'folder, and it is made anew'
            ) from error
        self._rows = {picture: row for row, picture in enumerate(self.pictures)}
        self._tokens: np.ndarray | None = None

    @classmethod
    def begin(cls, folder: str | Path, key: Mapping[str, str], pictures: Sequence[str]) -> 'FeatureCache':
        """Open a cache to be filled, a new one or one that was begun before.

        Args:
            folder: Its folder, made if need be.
            key: Fingerprints of what the features are made by, by name.
            pictures: What they are made of, in order.

        Raises:
            ValueError: The folder holds features of other pictures, or made by something else, or a picture is another
                one by now.
        """
        folder = Path(folder)
        if not (folder / _ABOUT).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            stamps = [[*stamp, file_fingerprint(path)] if (stamp := file_stamp(path)) else [] for path in pictures]
            write_json(folder / _ABOUT, dict(key=dict(key), pictures=list(pictures), stamps=stamps))
        cache = cls(folder)
        cache.check(key)
        if cache.pictures != list(pictures):
            raise ValueError(
                f'{folder}: holds features of {len(cache.pictures)} pictures, and they are others than the '
                f'{len(pictures)} of the data set; name another folder, or delete this one'
            )
        for path, kept in zip(pictures, cache.stamps):
            now = file_stamp(path)
            if now and now != kept[:2] and (now[:1] != kept[:1] or file_fingerprint(path) != kept[2]):
                raise ValueError(
                    f'{path}: is another picture than the one whose features {folder} holds; delete that folder, or '
                    'name another one'
                )
        return cache

    def check(self, key: Mapping[str, str]) -> None:
        """Raise ValueError if the features were made by something else; arguments as in :meth:`begin`."""
        for name in dict.fromkeys((*key, *self.key)):
            if self.key.get(name) != key.get(name):
                raise ValueError(
                    f'{self.folder}: was made with other {name}: their fingerprint was {self.key.get(name)}, not '
                    f'{key.get(name)}; name another folder, or delete this one'
                )

    @property
    def done(self) -> int:
        """How many pictures are encoded, from the first on."""
        path = self.folder / _DONE
        try:
            return int(path.read_text()) if path.is_file() else 0
        except ValueError as error:
            raise ValueError(f'{path}: must hold the number of pictures that are done: {error}') from error

    def add(self, tokens: np.ndarray) -> None:
        """Write the tokens of the next pictures.

        Args:
            tokens: ``(pictures, T, C)``, in the type in which all are kept.

        Raises:
            ValueError: A value is not finite, or the shape is another one than that of the pictures before.
        """
        done, path = self.done, self.folder / _TOKENS
        if not np.isfinite(tokens).all():
            raise ValueError(f'{self.folder}: features of {self.pictures[done]} or a picture after it are not finite')
        shape = (len(self.pictures), *tokens.shape[1:])
        if done:
            kept = np.load(path, mmap_mode='r+')
        else:
            kept = np.lib.format.open_memmap(path, 'w+', tokens.dtype, shape)
        if kept.shape != shape or kept.dtype != tokens.dtype:
            raise ValueError(f'{path}: is {kept.dtype} {kept.shape}, the next tokens are {tokens.dtype} {shape}')
        kept[done : done + len(tokens)] = tokens
        kept.flush()
        new = self.folder / f'{_DONE}.new'
        new.write_text(str(done + len(tokens)))
        os.replace(new, self.folder / _DONE)

    def tokens(self, picture: str) -> np.ndarray:
        """Tokens of a picture ``(T, C)``.

        Raises:
            ValueError: They are not there.
        """
        if self._tokens is None:
            if self.done != len(self.pictures):
                raise ValueError(f'{self.folder}: {self.done} of {len(self.pictures)} pictures are encoded')
            self._tokens = np.load(self.folder / _TOKENS, mmap_mode='r')
        if picture not in self._rows:
            raise ValueError(f'{self.folder}: has no features of {picture}')
        return self._tokens[self._rows[picture]]
