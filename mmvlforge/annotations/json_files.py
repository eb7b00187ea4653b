"""The one reader, and the one writer, of JSON files. Errors name the file, the line and, of broken JSON, the column.

Two things that JSON's grammar allows count as broken: a key that an object has twice, of which every other reader
silently keeps the last, and nesting that no file of ours has and that later code could not follow.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

__all__ = [
    'decoded_lines',
    'iter_json_array',
    'iter_json_lines',
    'parse_json',
    'read_json',
    'read_json_object',
    'read_text',
    'write_json',
]

NESTING = 100

_BLANK = re.compile(r'[ \t\n\r]*')
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(?P<key>[ \t\n\r]*:)?|[\[\]{}]|(?P<digits>[0-9]+)', re.DOTALL)


class _Fault(ValueError):
    """What is wrong with JSON, and where.

    Attributes:
        at: Place in the text.
        end: Where the value ends that it is in; None if nobody can tell, so that nothing behind it can be read.
    """

    def __init__(self, what: str, at: int, end: int | None = None) -> None:
        super().__init__(what)
        self.at, self.end = at, end

    def tell(self, text: str, part: str = '') -> str:
        column = self.at - text.rfind('\n', 0, self.at)
        return f'broken JSON{part} at column {column}: {self}'


class _Decoder(json.JSONDecoder):
    """The standard library's decoder with an eye on what it lets pass; that doubles its time."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=self._object)
        self._repeats = False

    def _object(self, pairs: list[tuple[str, Any]]) -> dict:
        found = dict(pairs)
        if len(found) != len(pairs):
            self._repeats = True
        return found

    def value(self, text: str, at: int) -> tuple[Any, int]:
        """The value that begins at a place, and where it ends. Raises _Fault."""
        self._repeats = False
        try:
            value, end = self.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise _Fault(error.msg, error.pos) from None
        except (RecursionError, ValueError):  # too deep; an integer that Python refuses to convert
            raise _explained(text, at) from None
        if self._repeats or _too_deep(value, text, at, end):
            raise _explained(text, at, end)
        return value, end

    def whole(self, text: str) -> Any:
        """The one value of a text. Raises _Fault."""
        value, end = self.value(text, _blank(text, 0))
        rest = _blank(text, end)
        if rest < len(text):
            raise _Fault('Extra data', rest)
        return value


def _blank(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]  # matches anything


def _line(text: str, at: int) -> int:
    return text.count('\n', 0, at) + 1


def _too_deep(value: Any, text: str, at: int, end: int) -> bool:
    if text.count('[', at, end) + text.count('{', at, end) <= NESTING:
        return False
    level = [value]
    for _ in range(NESTING):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def _explained(text: str, at: int, end: int | None = None) -> _Fault:
    """The first fault that is none of grammar, found token by token: slow, and needed once a file at most."""
    keys: list[set[str]] = []
    for token in _TOKEN.finditer(text, at):
        first, place = token[0][0], token.start()
        if first in '[{':
            keys.append(set())
            if len(keys) > NESTING:
                return _Fault(f'nested more than {NESTING} levels deep', place, end)
        elif first in ']}':
            keys.pop()
        elif token['key']:
            key = json.loads(token[0][: -len(token['key'])], strict=False)
            if key in keys[-1]:
                return _Fault(f'the key {key!r:.60} stands twice in one object', place, end)
            keys[-1].add(key)
        elif token['digits']:
            try:
                int(token['digits'])
            except ValueError:
                return _Fault(f'an integer of {len(token["digits"])} digits', place, end)
    return _Fault('cannot be read', at, end)


def read_text(path: str | Path) -> str:
    """Read a UTF-8 file.

    Raises:
        ValueError: It is not UTF-8.
        OSError: There is none, or it cannot be read.
    """
    try:
        return Path(path).read_bytes().decode()  # read_text would make a line break of each '\r'
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path}: no such file') from error
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not UTF-8 text ({error})') from error


def decoded_lines(lines: Iterable[str], path: str | Path) -> Iterator[str]:
    """The lines of a file that is open as UTF-8 text. Raises ValueError where they are none, and names the file."""
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not UTF-8 text ({error})') from error


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
        return _Decoder().whole(text)
    except _Fault as fault:
        raise ValueError(f'{where}:{line or _line(text, fault.at)}: {fault.tell(text)}') from fault


def read_json(path: str | Path) -> Any:
    """Read a whole JSON file. Raises as :func:`read_text` and :func:`parse_json`."""
    return parse_json(read_text(path), path)


def read_json_object(path: str | Path) -> dict:
    """Read a JSON file that holds an object. Raises as :func:`read_json`, and ValueError for anything else."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f'{path}: {content!r:.60} must be a JSON object')
    return content


def iter_json_lines(text: str) -> Iterator[tuple[int, Any]]:
    """Parse one JSON value a line; empty lines are passed over.

    Args:
        text: What to parse.

    Yields:
        Each line's number, from 1, and its value. In place of a broken one stands a ValueError that says what is wrong
        with it but not where, so that a reader can tell of all broken lines at once. A name that an object has twice is
        broken too: the last one would win unseen.
    """
    decoder = _Decoder()
    # Split at '\n' only: str.splitlines also cuts at characters that a JSON string may hold.
    for number, line in enumerate(text.split('\n'), 1):
        if line.strip():
            try:
                yield number, decoder.whole(line)
            except _Fault as fault:
                yield number, ValueError(fault.tell(line))


def iter_json_array(text: str, where: str | Path) -> Iterator[Any]:
    """Parse the values of a JSON array one at a time: of millions only the text is held as a whole.

    Args:
        text: What to parse.
        where: The file, for messages.

    Yields:
        Each value. In place of one that is whole but broken, such as one with a key twice, stands a ValueError that
        says where and why.

    Raises:
        ValueError: This is no JSON array, a value is broken so that its end is unknown, or text follows the end.
    """
    decoder, at, mark = _Decoder(), _blank(text, 0), '['
    for row in count():
        if text[at : at + 1] != mark:
            found = f'{text[at : at + 20]!r} before record {row}'
            raise ValueError(f'{where}:{_line(text, at)}: {found}, where a JSON array has {mark!r}')
        at = _blank(text, at + 1)
        if row == 0 and text[at : at + 1] == ']':
            break
        try:
            value, end = decoder.value(text, at)
        except _Fault as fault:
            told = ValueError(f'{where}:{_line(text, fault.at)}: {fault.tell(text, f" in record {row}")}')
            if fault.end is None:
                raise told from fault
            value, end = told, fault.end
        yield value
        at, mark = _blank(text, end), ','
        if text[at : at + 1] == ']':
            break
    rest = _blank(text, at + 1)
    if rest < len(text):
        raise ValueError(f'{where}:{_line(text, rest)}: {text[rest : rest + 20]!r} after the end of the JSON array')


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file; its folder is made if need be. NaN is refused."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, allow_nan=False)
    Path(path).write_text(text + '\n', encoding='utf-8')
