"""Millions of small records in two arrays."""

import marshal
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ['PackedRecords']


class PackedRecords(Sequence):
    """A sequence of tuples of strings, numbers and the like, kept as bytes.

    A record costs its text and some 30 bytes, instead of a kilobyte as Python objects. Workers forked from the process
    that holds it share its memory: reading an item changes no reference count in it.

    Args:
        records: Any number of tuples; they are read once, one at a time.
    """

    def __init__(self, records: Iterable[tuple]) -> None:
        data, ends = bytearray(), array('q', [0])
        for record in records:
            data += marshal.dumps(record)
            ends.append(len(data))
        self._data = np.frombuffer(data, np.uint8)
        self._ends = np.frombuffer(ends, np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int | slice):
        if isinstance(index, slice):
            return PackedRecords(self[i] for i in range(*index.indices(len(self))))
        index = range(len(self))[index]  # counts from the end, and refuses what lies beyond
        return marshal.loads(self._data[self._ends[index] : self._ends[index + 1]].data)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes."""
        return self._data.nbytes + self._ends.nbytes
