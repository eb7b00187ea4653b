"""The one reader, and the one writer, of JSON files. Errors name the file, the line and, of broken JSON, the column."""

import json
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

__all__ = [
    'iter_json_array',
    'iter_json_lines',
    'parse_json',
    'read_json',
    'read_json_object',
    'read_text',
    'write_json',
]

_BLANK = re.compile(r'\s*')


def read_text(path: str | Path) -> str:
    """Read a UTF-8 file.

    Raises:
        ValueError: It is not UTF-8.
        OSError: There is none, or it cannot be read.
    """
    try:
        return Path(path).read_text(encoding='utf-8')
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path}: no such file') from error
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not UTF-8 text ({error})') from error


def _fault(error: json.JSONDecodeError, part: str = '') -> str:
    return f'broken JSON{part} at column {error.colno}: {error.msg}'


def parse_json(text: str, where: str | Path, line: int | None = None) -> Any:
    """Parse JSON.

    Args:
        text: What to parse.
        where: The file, for the message.
        line: Line of the file that ``text`` is, from 1; None if it is the whole file.

    Raises:
        ValueError: It is broken.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f'{where}:{line or error.lineno}: {_fault(error)}') from error


def read_json(path: str | Path) -> Any:
    """Read a whole JSON file. Raises as :func:`read_text` and :func:`parse_json`."""
    return parse_json(read_text(path), path)


def read_json_object(path: str | Path) -> dict:
    """Read a JSON file that holds an object. Raises as :func:`read_json`, and ValueError for anything else."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f'{path}: {content!r:.60} must be a JSON object')
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'{twice!r:.60} stands twice in one object')
    return found


def iter_json_lines(text: str) -> Iterator[tuple[int, Any]]:
    """Parse one JSON value a line; empty lines are passed over.

    Args:
        text: What to parse.

    Yields:
        Each line's number, from 1, and its value. In place of a broken one stands a ValueError that says what is wrong
        with it but not where, so that a reader can tell of all broken lines at once. A name that an object has twice is
        broken too: the last one would win unseen.
    """
    # Split at '\n' only: str.splitlines also cuts at characters that a JSON string may hold.
    for number, line in enumerate(text.split('\n'), 1):
        if line.strip():
            try:
                yield number, json.loads(line, object_pairs_hook=_unique)
            except json.JSONDecodeError as error:
                yield number, ValueError(_fault(error))
            except ValueError as error:
                yield number, error


def iter_json_array(path: str | Path) -> Iterator[Any]:
    """Parse the values of a JSON array one at a time: of a file of millions only the text is held as a whole.

    Raises:
        ValueError: The file is no JSON array, a value is broken, or text follows its end.
    """
    text, decode = read_text(path), json.JSONDecoder().raw_decode

    def skip_blank(at: int) -> int:
        return _BLANK.match(text, at).end()  # type: ignore[union-attr]  # matches anything

    def place(at: int) -> str:
        line = text.count('\n', 0, at) + 1
        return f'{path}:{line}'

    at, mark = skip_blank(0), '['
    for row in count():
        if text[at : at + 1] != mark:
            found = f'{text[at : at + 20]!r} before record {row}'
            raise ValueError(f'{place(at)}: {found}, where a JSON array has {mark!r}')
        at = skip_blank(at + 1)
        if row == 0 and text[at : at + 1] == ']':
            break
        try:
            value, at = decode(text, at)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}:{error.lineno}: {_fault(error, f" in record {row}")}') from error
        yield value
        at, mark = skip_blank(at), ','
        if text[at : at + 1] == ']':
            break
    rest = skip_blank(at + 1)
    if rest < len(text):
        raise ValueError(f'{place(rest)}: {text[rest : rest + 20]!r} after the end of the JSON array')


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file; its folder is made if need be. NaN is refused."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, allow_nan=False)
    Path(path).write_text(text + '\n', encoding='utf-8')
