"""Filters of a search by the columns of an index: one reading, for Milvus and for the exact search.

A filter is a comparison, or several joined by ``and``, ``or``, ``not`` and parentheses::

    year >= 2020 and (agency == "dpa" or "Berlin" in place) and section not in ["sport", "weather"]

``column("camera model") == "X100"`` names a column that is no single word. A number is compared with values that are
written as numbers, a text in quotes with values as they are written; ``"..." in column`` asks for a part of the text. A
value that is missing, or no number where one is asked for, fulfils no comparison, also not ``!=`` and ``not``.
"""

import ast
import json
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mmvlforge.annotations.values import text_fault

__all__ = ['Columns', 'Filter', 'parse_filter', 'split_columns']

_MAX_LETTERS = 2000  # Python's parser needs memory for deep nesting
_LARGEST = 2**53  # beyond it a float no longer tells whole numbers apart
_OPERATORS: dict[type, tuple[str, str]] = {  # and their negations
    ast.Eq: ('==', '!='),
    ast.NotEq: ('!=', '=='),
    ast.Lt: ('<', '>='),
    ast.LtE: ('<=', '>'),
    ast.Gt: ('>', '<='),
    ast.GtE: ('>=', '<'),
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    '==': operator.eq,
    '!=': operator.ne,
    '<': operator.lt,
    '<=': operator.le,
    '>': operator.gt,
    '>=': operator.ge,
}
_TURNED = {'<': '>', '<=': '>=', '>': '<', '>=': '<='}  # 5 < x is x > 5


class Columns(NamedTuple):
    """Values of an entry by column: all as they are written, and those that are numbers."""

    texts: dict[str, str]
    numbers: dict[str, int | float]


def split_columns(columns: Mapping[str, Any]) -> Columns:
    """What a filter sees of values, which are texts (of a csv file) or plain JSON values."""
    texts, numbers = {}, {}
    for name, value in columns.items():
        texts[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        number = _number(texts[name])
        if number is not None:
            numbers[name] = number
    return Columns(texts, numbers)


def _number(text: str) -> int | float | None:
    try:
        value = float(text) if text.isascii() and '_' not in text else None
    except ValueError:
        return None
    if value is None or not abs(value) < _LARGEST:  # NaN too
        return None
    return int(value) if value.is_integer() else value


class _Test(NamedTuple):
    """A comparison: ``column op value``, where op is one of Python's, or ``has`` (a part of the text), or ``lacks``."""

    column: str
    op: str
    value: str | int | float

    def matches(self, columns: Columns) -> bool:
        known: Mapping[str, Any] = columns.texts if isinstance(self.value, str) else columns.numbers
        if self.column not in known:
            return False
        found = known[self.column]
        if self.op in ('has', 'lacks'):
            return (self.value in found) == (self.op == 'has')
        return _COMPARE[self.op](found, self.value)

    def milvus(self) -> str:
        field = 'texts' if isinstance(self.value, str) else 'numbers'
        place = f'{field}[{json.dumps(self.column, ensure_ascii=False)}]'
        if self.op in ('has', 'lacks'):
            found = f'{place} like {json.dumps(f"%{self.value}%", ensure_ascii=False)}'
            return f'({found})' if self.op == 'has' else f'(exists {place} and not ({found}))'
        found = f'{place} {self.op} {json.dumps(self.value, ensure_ascii=False)}'
        return f'(exists {place} and {found})' if self.op == '!=' else f'({found})'


class _Joined(NamedTuple):
    """Parts that must all hold (``and``), or one of which must (``or``)."""

    word: str
    parts: list

    def matches(self, columns: Columns) -> bool:
        return (all if self.word == 'and' else any)(part.matches(columns) for part in self.parts)

    def milvus(self) -> str:
        return f'({f" {self.word} ".join(part.milvus() for part in self.parts)})'


Filter = _Test | _Joined


def parse_filter(text: str) -> Filter:
    """Read a filter. What it gives has ``matches(columns)`` and ``milvus()``, the same as an expression of Milvus.

    Raises:
        ValueError: It is none; the message says which part.
    """
    if len(text) > _MAX_LETTERS:
        raise ValueError(f'the filter has {len(text)} letters, at most {_MAX_LETTERS} are read')
    if fault := text_fault(text):
        raise ValueError(f'filter: {fault}')
    try:
        return _read(ast.parse(text.strip(), mode='eval').body, False)
    except (SyntaxError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else 'nested too deep'
        hint = '; equality is ==' if '=' in text and '==' not in text else ''
        raise ValueError(f'filter {text!r:.200}: {reason}{hint}') from None
    except ValueError as error:
        raise ValueError(f'filter {text!r:.200}: {error}') from None


def _read(node: ast.expr, negated: bool) -> _Test | _Joined:
    if isinstance(node, ast.BoolOp):
        conjunction = isinstance(node.op, ast.And) != negated
        return _Joined('and' if conjunction else 'or', [_read(part, negated) for part in node.values])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _read(node.operand, not negated)
    if not isinstance(node, ast.Compare):
        raise ValueError(f'{_shown(node)} is no comparison, such as year >= 2020')
    sides = [node.left, *node.comparators]
    tests = [_compare(left, op, right, negated) for left, op, right in zip(sides, node.ops, sides[1:])]
    return tests[0] if len(tests) == 1 else _Joined('or' if negated else 'and', tests)  # 1 < x < 5


def _compare(left: ast.expr, op: ast.cmpop, right: ast.expr, negated: bool) -> _Test | _Joined:
    if isinstance(op, (ast.In, ast.NotIn)):
        wanted = isinstance(op, ast.In) != negated
        if isinstance(right, (ast.List, ast.Tuple)):
            if not right.elts:
                raise ValueError(f'{_shown(right)} is empty')
            column = _column(left)
            tests = [_Test(column, '==' if wanted else '!=', _value(value)) for value in right.elts]
            return _Joined('or' if wanted else 'and', tests)
        part = _value(left)
        if not isinstance(part, str) or not part or set(part) & set('%_\\'):
            raise ValueError(f'{_shown(left)} in ...: must be a text in quotes, without % _ and \\')
        return _Test(_column(right), 'has' if wanted else 'lacks', part)
    if type(op) not in _OPERATORS:
        raise ValueError("'is' compares nothing here; write == or !=")
    name = _OPERATORS[type(op)][negated]
    if isinstance(left, (ast.Constant, ast.UnaryOp)):
        left, right, name = right, left, _TURNED.get(name, name)
    return _Test(_column(left), name, _value(right))


def _column(node: ast.expr) -> str:
    name = None
    if isinstance(node, ast.Name):
        name = node.id
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == 'column' and len(node.args) == 1:
        name = getattr(node.args[0], 'value', None)
    if not isinstance(name, str):
        raise ValueError(f'{_shown(node)} is no column; write its name, or column("...")')
    return name


def _value(node: ast.expr) -> str | int | float:
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node, sign = node.operand, -1
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str) and sign == 1:
        return value
    if isinstance(value, (int, float)):
        if not abs(value) < _LARGEST:
            raise ValueError(f'{_shown(node)} is too large a number; as a text in quotes it can be compared')
        return sign * value
    raise ValueError(f'{_shown(node)} is neither a number nor a text in quotes')


def _shown(node: ast.expr) -> str:
    return f'{ast.unparse(node):.60}'
