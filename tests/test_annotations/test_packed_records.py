"""Records as bytes: equal to what went in, and small."""

import pickle
import tracemalloc

import pytest

from mmvlforge.annotations import PackedRecords

RECORDS = [
    (0, 'a.jpg', 'caf\u00e9 \u2028', None),
    ('1 of x', 'b.jpg', '', (1, 2.5, 3, 4)),
    (2, ('a', 'b'), 'c', {'k': 1}),
]


def test_a_sequence_of_the_records():
    packed = PackedRecords(iter(RECORDS))
    assert len(packed) == 3 and list(packed) == RECORDS and packed[-1] == RECORDS[2]
    assert list(packed[1:]) == RECORDS[1:] and list(packed[::-1]) == RECORDS[::-1]
    assert list(pickle.loads(pickle.dumps(packed))) == RECORDS
    assert not PackedRecords([])
    with pytest.raises(IndexError):
        packed[3]


def test_memory_of_a_pair():
    """Text of 60 bytes, and at most 40 more; the peak while reading is the array that grows, not the records."""
    number, text, name = 50_000, 'x' * 45, 'y' * 15
    tracemalloc.start()
    packed = PackedRecords((row, name, text, None) for row in range(number))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert packed.nbytes / number < 100
    assert peak / number < 250
