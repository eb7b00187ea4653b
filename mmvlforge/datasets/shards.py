"""Samples of a tar shard, and what is damaged in it.

tarfile takes a damaged header for the end of the archive and says nothing. Here reading goes on at the next whole
header, and the damage is told.
"""

import re
import tarfile
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import webdataset

from mmvlforge.annotations.annotation_file import WHERE_DATA_GO
from mmvlforge.annotations.values import one_line

__all__ = ['ShardSample', 'read_shard']

_META = re.compile(r'__[^/]*__($|/)')  # webdataset's own notes


class ShardSample(NamedTuple):
    """Neighbouring members of a tar whose names differ in the ending alone, or a damaged place.

    Attributes:
        place: Shard and sample, or shard and byte.
        key: The common part of the names.
        files: Ending in lower case → content.
        problem: What makes it unusable, or ''.
    """

    place: str
    key: str
    files: dict[str, bytes]
    problem: str = ''


class _Watch:
    """What tarfile keeps to itself.

    Attributes:
        header: Class for tarfile to read headers with.
        damaged: Blocks that should be a header and are none.
        ended: Whether the mark of an archive's end was read, which is a block of zeros.
    """

    def __init__(self) -> None:
        self.damaged, self.ended = 0, False
        watch = self

        class Header(tarfile.TarInfo):
            @classmethod
            def frombuf(cls, buf, encoding, errors):
                try:
                    return super().frombuf(buf, encoding, errors)
                except tarfile.HeaderError:
                    if any(buf):
                        watch.damaged += 1
                    elif len(buf) == 512:
                        watch.ended = True
                    raise

        self.header = Header


def read_shard(url: str) -> Iterator[ShardSample]:
    """Read a shard, compressed or not, in order.

    Args:
        url: A file, or whatever else ``webdataset.gopen`` opens.

    Yields:
        Each sample, and one with a problem and no files for each damaged place.

    Raises:
        ValueError: There is no such file, it is no tar, or it is cut off, so that nobody knows how much is missing.
    """
    key, problem = '', ''
    files: dict[str, bytes] = {}
    for name, content in _members(url):
        if content is None:
            yield ShardSample(f'{url}, {name}', '', {}, 'damaged')
            continue
        folder, slash, file = name.rpartition('/')
        stem, dot, ending = file.partition('.')
        if not stem or not dot or _META.match(name):
            continue
        if files and folder + slash + stem != key:
            yield ShardSample(f'{url}, sample {one_line(key)}', key, files, problem)
            files, problem = {}, ''
        key, ending = folder + slash + stem, ending.lower()
        if ending in files:
            problem = f'has two files {ending}'
        files[ending] = content
    if files:
        yield ShardSample(f'{url}, sample {one_line(key)}', key, files, problem)


def _members(url: str) -> Iterator[tuple[str, bytes | None]]:
    """Names and contents of the files in a tar; at a damaged place its description and None."""
    watch, end, place = _Watch(), 0, 'byte 0'
    try:
        with (
            closing(webdataset.gopen(url)) as stream,
            tarfile.open(
                fileobj=stream, mode='r|*', tarinfo=watch.header, ignore_zeros=True, errors='backslashreplace'
            ) as tar,
        ):
            while member := tar.next():
                if watch.damaged:
                    yield f'{place}: {watch.damaged} blocks where a header should be', None
                content = tar.extractfile(member).read() if member.isreg() else None  # type: ignore[union-attr]
                if content is not None and len(content) < member.size:
                    raise ValueError(f'cut off within {member.name}')
                watch.damaged, watch.ended = 0, False
                end = member.offset_data + -(-member.size // 512) * 512
                place = f'byte {end}, behind {one_line(member.name)}'
                tar.members = []  # type: ignore[attr-defined]  # they would add up; webdataset drops them too
                if content is not None:
                    yield member.name, content
        if watch.damaged and not end:
            raise ValueError('no tar archive')
        if not watch.ended:
            raise ValueError('cut off, the mark of the end is missing')
        if watch.damaged:
            yield f'{place}: {watch.damaged} blocks where a header should be', None
    except Exception as error:  # on damaged bytes tarfile and the decompressors raise about anything
        reason = one_line(str(error).split('\n')[0]) or type(error).__name__
        hint = f'; {WHERE_DATA_GO}' if isinstance(error, FileNotFoundError) else ''
        raise ValueError(f'shard cannot be read: {url}, {place}: {reason}{hint}') from error
