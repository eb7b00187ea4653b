"""Reading annotation files."""

import json

__all__ = ['read_annotations']


def read_annotations(path: str, broken: dict[int, str] | None = None) -> list[dict]:
    """Read an annotation file: one JSON array of objects, or one object a line (both forms of DGM⁴ are in use).

    Args:
        path: The file, UTF-8.
        broken: If given, an entry that is no JSON object does not stop the reading: its row and what is wrong with
            it are written here, and None stands in its place.

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
    found: dict[int, str] = {}
    records = _array(path, text, found) if text.lstrip().startswith('[') else _lines(path, text, found)
    if not records:
        raise ValueError(f'{path}: no records in it; expected a JSON array of objects or one object a line')
    if broken is None and found:
        raise ValueError(next(iter(found.values())))
    if broken is not None:
        broken.update(found)
    return records


def _array(path: str, text: str, broken: dict[int, str]) -> list[dict | None]:
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f'{path}:{error.lineno}: broken JSON at column {error.colno}: {error.msg}') from error
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            broken[row] = f'{path}: record {row} is {record!r:.60}, must be a JSON object'
            records[row] = None
    return records


def _lines(path: str, text: str, broken: dict[int, str]) -> list[dict | None]:
    records = []
    # Split at '\n' only: str.splitlines also cuts at characters that a JSON string may hold.
    for number, line in enumerate(text.split('\n'), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            problem = None if isinstance(record, dict) else f'{record!r:.60} must be a JSON object'
        except json.JSONDecodeError as error:
            problem = f'broken JSON at column {error.colno}: {error.msg}'
        if problem:
            broken[len(records)] = f'{path}:{number}: {problem}'
            record = None
        records.append(record)
    return records
