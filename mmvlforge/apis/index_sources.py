"""What an index is built from: folders, lists and tars, as one stream of pictures with captions and columns."""

import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from braceexpand import braceexpand

from mmvlforge.annotations.json_files import parse_json
from mmvlforge.annotations.values import json_fault, one_line
from mmvlforge.apis.inputs import read_list, read_queries
from mmvlforge.datasets.shards import read_shard
from mmvlforge.datasets.transforms.loading import read_image

__all__ = ['Source', 'lies_there', 'picture_bytes', 'place_of', 'read_source']

_PICTURES = ('jpg', 'jpeg', 'png', 'webp')
_IN_TAR = '::'


class Source(NamedTuple):
    """A record of a source.

    Attributes:
        path: Where the picture lies, absolute; in a tar ``TAR::MEMBER``. Of a record that is broken ''.
        caption: '' if there is none.
        fields: Further columns, any JSON; of a csv file they are texts.
        data: The picture's file, of one in a tar.
        problem: Why it cannot be used, or ''.
    """

    path: str
    caption: str = ''
    fields: dict[str, Any] = {}
    data: bytes | None = None
    problem: str = ''


def read_source(source: str) -> Iterator[Source]:
    """The pictures of a source.

    Args:
        source: A folder; a ``.csv`` or ``.jsonl`` file with ``image`` and, if it likes, ``caption`` and further
            columns (pictures relative to that file); or tars as webdataset has them, ``{000..099}.tar``, whose
            samples may have ``txt`` (a caption) and ``json`` (further columns).

    Raises:
        ValueError: It is none of these, or broken as a whole.
    """
    path = Path(source)
    if path.is_dir():
        return (_checked(Source(str(Path(str(query.image)).absolute()))) for query in read_queries(path))
    if path.suffix.lower() in ('.csv', '.jsonl'):
        if not path.is_file():
            raise ValueError(f'{source}: no such file')
        return _from_list(path)
    tars = list(braceexpand(source))
    if all(tar.endswith(('.tar', '.tar.gz', '.tgz')) for tar in tars):
        missing = [tar for tar in tars if not Path(tar).is_file()]
        if missing:
            raise ValueError(f'{missing[0]}: no such file ({len(missing)} of {len(tars)} tars are missing)')
        return (record for tar in tars for record in _from_tar(str(Path(tar).absolute())))
    raise ValueError(f'{source}: must be a folder, a .csv or .jsonl file, or tars such as {{000..009}}.tar')


def picture_bytes(path: str) -> bytes:
    """The file of a picture that an index names. Raises UnusableImageError, or ValueError for a tar that is gone."""
    tar, inside, name = path.partition(_IN_TAR)
    if not inside or Path(path).is_file():
        return read_image(path)
    try:
        with tarfile.open(tar) as file:
            member = next((member for member in file if member.isreg() and _lowered(member.name) == name), None)
            if member is None:
                raise ValueError(f'{path}: cannot be read: the tar has no such picture')
            return file.extractfile(member).read()  # type: ignore[union-attr]
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise ValueError(f'{path}: cannot be read: {one_line(str(error))}') from error


def lies_there(path: str) -> bool:
    """Whether there is still a file, or a tar, where a picture was."""
    return Path(path).exists() or _IN_TAR in path and Path(path.partition(_IN_TAR)[0]).exists()


def place_of(paths: Sequence[str]) -> str:
    """The first of a picture's paths where there is still a file, or the first."""
    return next(filter(lies_there, paths), paths[0])


def _lowered(name: str) -> str:
    """A name as a sample has it, whose ending is in lower case."""
    folder, slash, file = name.rpartition('/')
    stem, dot, ending = file.partition('.')
    return f'{folder}{slash}{stem}{dot}{ending.lower()}'


def _from_list(path: Path) -> Iterator[Source]:
    for number, query in enumerate(read_list(path), 1):
        if isinstance(query, ValueError):
            yield Source('', problem=str(query))
        elif query.image is None:
            yield Source('', problem=f'{path}, record {number}: has no image')
        else:
            columns = dict(query.columns) if query.id is None else {'id': query.id, **query.columns}
            yield _checked(Source(str(Path(str(query.image)).absolute()), (query.caption or '').strip(), columns))


def _from_tar(tar: str) -> Iterator[Source]:
    for sample in read_shard(tar):
        ending = next((ending for ending in _PICTURES if ending in sample.files), None)
        problem, caption, fields = sample.problem, '', {}
        if not problem and ending is None:
            problem = f'has {sorted(sample.files)}, none of them a picture'
        try:
            caption = ' '.join(sample.files.get('txt', b'').decode().split())
            fields = parse_json(sample.files.get('json', b'{}').decode(), 'json')
            if not isinstance(fields, dict):
                raise ValueError(f'json is {fields!r:.60}, must be an object')
        except ValueError as error:
            problem = problem or one_line(str(error))
        if problem or ending is None:
            yield Source('', problem=f'{sample.place}: {problem}')
        else:
            yield _checked(Source(f'{tar}{_IN_TAR}{sample.key}.{ending}', caption, fields, sample.files[ending]))


def _checked(source: Source) -> Source:
    """Without columns that are empty; with a problem if it holds what no store can."""
    fields = {name: value for name, value in source.fields.items() if value is not None and value != ''}
    fault = json_fault([source.path, source.caption, fields])
    if fault:
        return Source('', problem=f'{one_line(source.path)}: {fault}')
    return source._replace(fields=fields)
