"""What an index is built from: folders, lists and tars, as one stream of pictures with captions and columns."""

import csv
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from braceexpand import braceexpand

from mmvlforge.annotations.json_files import decoded_lines, parse_json
from mmvlforge.annotations.values import one_line
from mmvlforge.apis.inputs import read_queries
from mmvlforge.datasets.shards import read_shard
from mmvlforge.datasets.transforms.loading import read_image

__all__ = ['Source', 'picture_bytes', 'read_source']

_KNOWN = ('image', 'caption', 'id')
_PICTURES = ('jpg', 'jpeg', 'png', 'webp')
_IN_TAR = '::'


class Source(NamedTuple):
    """A record of a source.

    Attributes:
        path: Where the picture lies, absolute; in a tar ``TAR::MEMBER``. Of a record that is broken where it stands.
        caption: '' if there is none.
        fields: Further columns.
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
        return (Source(str(Path(str(query.image)).absolute())) for query in read_queries(path))
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
    tar, found, member = path.partition(_IN_TAR)
    if not found:
        return read_image(path)
    try:
        with tarfile.open(tar) as file:
            content = file.extractfile(member)
            if content is None:
                raise KeyError(member)
            return content.read()
    except (OSError, KeyError, tarfile.TarError) as error:
        raise ValueError(f'{path}: cannot be read: {one_line(str(error))}') from error


def _from_list(path: Path) -> Iterator[Source]:
    lines = _csv_rows(path) if path.suffix.lower() == '.csv' else _json_rows(path)
    for where, row in lines:
        if isinstance(row, ValueError):
            yield Source(where, problem=str(row))
            continue
        image, caption = row.get('image'), row.get('caption') or ''
        fields = {name: value for name, value in row.items() if name not in _KNOWN and value not in (None, '')}
        if 'id' in row and row['id'] not in (None, ''):
            fields['id'] = row['id']
        wrong = [name for name, value in fields.items() if not isinstance(value, (str, int, float, bool))]
        if not isinstance(image, str) or not image.strip():
            yield Source(where, problem=f'{where}: image is {image!r:.60}, must be the path of a picture')
        elif not isinstance(caption, str):
            yield Source(where, problem=f'{where}: caption is {caption!r:.60}, must be a text')
        elif wrong:
            value = fields[wrong[0]]
            yield Source(
                where, problem=f'{where}: {wrong[0]} is {value!r:.60}, must be a text, a number, true or false'
            )
        else:
            yield Source(str((path.parent / image).absolute()), caption.strip(), fields)


def _csv_rows(path: Path) -> Iterator[tuple[str, dict | ValueError]]:
    with open(path, encoding='utf-8-sig', newline='') as file:
        rows = csv.DictReader(decoded_lines(file, path), strict=True)
        try:
            columns = list(rows.fieldnames or [])
            if 'image' not in columns or len(set(columns)) < len(columns):
                raise ValueError(f"{path}: needs a column 'image', and none twice; its first line has {columns!s:.200}")
            for row in rows:
                where = f'{path}:{rows.line_num}'
                if None in row:
                    told = f'{where}: more fields than the {len(columns)} columns; quote a text with commas'
                    yield where, ValueError(told)
                else:
                    known = {name: value for name, value in row.items() if value is not None}
                    yield where, {n: v if n in ('image', 'caption') else _number(v) for n, v in known.items()}
        except csv.Error as error:
            raise ValueError(f'{path}:{rows.line_num}: broken CSV: {error}') from error


def _json_rows(path: Path) -> Iterator[tuple[str, dict | ValueError]]:
    with open(path, encoding='utf-8-sig', newline='\n') as file:
        for number, line in enumerate(decoded_lines(file, path), 1):
            where = f'{path}:{number}'
            if not line.strip():
                continue
            try:
                row = parse_json(line, path, number)
                yield where, row if isinstance(row, dict) else ValueError(f'{where}: {row!r:.60} must be an object')
            except ValueError as error:
                yield where, error


def _number(text: str) -> str | int | float:
    """A number if the text is one as people write it, so that it can be compared with numbers."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text.strip() or (kind is float and value == value and abs(value) != float('inf')):
            return value
    return text


def _from_tar(tar: str) -> Iterator[Source]:
    for sample in read_shard(tar):
        ending = next((ending for ending in _PICTURES if ending in sample.files), None)
        if sample.problem or ending is None:
            told = sample.problem or f'has {sorted(sample.files)}, none of them a picture'
            yield Source(sample.place, problem=f'{sample.place}: {told}')
            continue
        fields: dict[str, Any] = {}
        try:
            caption = ' '.join(sample.files.get('txt', b'').decode().split())
            if 'json' in sample.files:
                told = parse_json(sample.files['json'].decode(), f'{sample.place}.json')
                fields = {k: v for k, v in told.items() if isinstance(v, (str, int, float, bool)) and v != ''}
        except (ValueError, AttributeError) as error:
            yield Source(sample.place, problem=f'{sample.place}: {one_line(str(error))}')
            continue
        yield Source(f'{tar}{_IN_TAR}{sample.key}.{ending}', caption, fields, sample.files[ending])
