"""Reading annotation files."""

import json
from typing import List

__all__ = ['read_annotations']


def read_annotations(path: str) -> List[dict]:
    """Read an annotation file: one JSON array of objects, or one object a line (both forms of DGM⁴ are in use).

    Args:
        path: The file, UTF-8.

    Returns:
        The records in the order of the file; a record's row is its place in this list.

    Raises:
        ValueError: Broken JSON (with the line), a record that is not an object, or a file without records.
    """
    try:
        with open(path, encoding='utf-8') as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not UTF-8 text ({error})') from error
    records = _array(path, text) if text.lstrip().startswith('[') else _lines(path, text)
    if not records:
        raise ValueError(f'{path}: no records in it; expected a JSON array of objects or one object a line')
    return records


def _array(path: str, text: str) -> List[dict]:
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f'{path}:{error.lineno}: broken JSON at column {error.colno}: {error.msg}') from error
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            raise ValueError(f'{path}: record {row} is {record!r:.60}, must be a JSON object')
    return records


def _lines(path: str, text: str) -> List[dict]:
    records = []
    # Split at '\n' only: str.splitlines also cuts at characters that a JSON string may hold.
    for number, line in enumerate(text.split('\n'), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}:{number}: broken JSON at column {error.colno}: {error.msg}') from error
        if not isinstance(record, dict):
            raise ValueError(f'{path}:{number}: {record!r:.60} must be a JSON object')
        records.append(record)
    return records
