"""Reading annotation files."""

from pathlib import Path
from typing import Any

from mmvlforge.annotations.json_files import iter_json_array, iter_json_lines, read_text

__all__ = ['WHERE_DATA_GO', 'check_exists', 'read_annotations']

WHERE_DATA_GO = 'docs/data.md says where the files of each data set go'


def check_exists(path: str | Path) -> None:
    """Raise FileNotFoundError if there is no such annotation file (or folder)."""
    if not Path(path).exists():
        raise FileNotFoundError(f'{path}: no such annotation file; {WHERE_DATA_GO}')


def read_annotations(path: str | Path, broken: dict[int, str] | None = None) -> list[dict]:
    """Read an annotation file: one JSON array of objects, or one object a line (both forms of DGM⁴ are in use).

    Args:
        path: The file, UTF-8.
        broken: If given, an entry that is no JSON object, or one with a key twice, does not stop the reading: its row
            and what is wrong with it are written here, and None stands in its place.

    Returns:
        The records in the order of the file; a record's row is its place in this list.

    Raises:
        ValueError: Broken JSON (with the line), a record that is not an object, or a file without records.
        FileNotFoundError: There is no such file.
    """
    check_exists(path)
    text = read_text(path)
    is_array = text.lstrip().startswith('[')
    records: list[Any] = []
    found: dict[int, str] = {}
    for number, value in enumerate(iter_json_array(text, path)) if is_array else iter_json_lines(text):
        if isinstance(value, dict):
            records.append(value)
            continue
        place = f'{path}, record {number}' if is_array else f'{path}:{number}'
        problem = f'{place}: {value!r:.60} must be a JSON object'
        if isinstance(value, ValueError):
            problem = str(value) if is_array else f'{place}: {value}'
        found[len(records)] = problem
        records.append(None)
    if not records:
        raise ValueError(f'{path}: no records in it; expected a JSON array of objects or one object a line')
    if broken is None and found:
        raise ValueError(next(iter(found.values())))
    if broken is not None:
        broken.update(found)
    return records
