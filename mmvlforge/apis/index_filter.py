"""Conditions on the columns of an index, such as ``year >= 2020 and source == 'ap'``: one language for every store.

A condition is parsed as a Python expression, never run, and brought to a form that Milvus reads too. What a picture has
no value for, or one of another kind, fulfils no comparison, ``!=`` included.
"""

import ast
import json
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ['Condition', 'parse_condition']

Fields = Mapping[str, Any]
_COMPARE: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Eq: ('==', operator.eq),
    ast.NotEq: ('!=', operator.ne),
    ast.Lt: ('<', operator.lt),
    ast.LtE: ('<=', operator.le),
    ast.Gt: ('>', operator.gt),
    ast.GtE: ('>=', operator.ge),
}
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **{ast.Eq: ast.NotEq, ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.In: ast.NotIn},
    **{ast.NotEq: ast.Eq, ast.GtE: ast.Lt, ast.LtE: ast.Gt, ast.NotIn: ast.In},
}
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}
_HELP = "a condition compares columns with values, such as year >= 2020 and source in ['ap', 'dpa']"


class Condition(NamedTuple):
    """A condition.

    Attributes:
        milvus: It as Milvus reads it, over a JSON field ``fields``.
        holds: Whether the columns of a picture fulfil it.
    """

    milvus: str
    holds: Callable[[Fields], bool]


def parse_condition(text: str) -> Condition:
    """Read a condition: comparisons of a column with a value, ``in`` and ``not in`` a list, ``and``, ``or``, ``not``.

    A column whose name is no word is written ``fields['its name']``.

    Raises:
        ValueError: It is none.
    """
    try:
        tree = ast.parse(text.strip(), mode='eval').body
        return _condition(tree, True)
    except (SyntaxError, _Fault, RecursionError, MemoryError) as error:
        reason = f'{error}' if isinstance(error, _Fault) else 'is no expression'
        raise ValueError(f'filter {text!r:.200}: {reason}; {_HELP}') from error


class _Fault(Exception):
    pass


def _condition(node: ast.expr, wanted: bool) -> Condition:
    """The condition of a node, or its opposite: ``not`` is handed down, so that what is missing fulfils neither."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _condition(node.operand, not wanted)
    if isinstance(node, ast.BoolOp):
        parts = [_condition(value, wanted) for value in node.values]
        return _joined(parts, isinstance(node.op, ast.And) == wanted)
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        parts = [_comparison(left, op, right, wanted) for left, op, right in zip(sides, node.ops, sides[1:])]
        return parts[0] if len(parts) == 1 else _joined(parts, wanted)
    raise _Fault(f'{ast.unparse(node)!r:.60} compares nothing')


def _joined(parts: list[Condition], every: bool) -> Condition:
    text = f' {"and" if every else "or"} '.join(f'({part.milvus})' for part in parts)
    tests, join = [part.holds for part in parts], all if every else any
    return Condition(text, lambda fields: join(test(fields) for test in tests))


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, wanted: bool) -> Condition:
    kind = type(op) if wanted else _OPPOSITE.get(type(op), type(op))
    if kind in (ast.In, ast.NotIn):
        if not isinstance(right, (ast.List, ast.Tuple)) or not right.elts:
            raise _Fault(f'{ast.unparse(right)!r:.60} must be a list of values')
        each: ast.cmpop = ast.Eq() if kind is ast.In else ast.NotEq()
        return _joined([_comparison(left, each, value, True) for value in right.elts], kind is ast.NotIn)
    if kind not in _COMPARE:
        raise _Fault(f'{ast.unparse(ast.Compare(left, [op], [right]))!r:.60} is no comparison known here')
    if _column(left) is None:
        left, right, kind = right, left, _MIRRORED.get(kind, kind)
    name = _column(left)
    if name is None:
        raise _Fault(f'{ast.unparse(left)!r:.60} is no column')
    value = _value(right)
    sign, test = _COMPARE[kind]
    if isinstance(value, bool) and sign not in ('==', '!='):
        raise _Fault(f'{sign} {value} has no meaning')

    def holds(fields: Fields) -> bool:
        found = fields.get(name)
        return found is not None and _same_kind(found, value) and test(found, value)

    return Condition(f'fields[{json.dumps(name)}] {sign} {json.dumps(value)}', holds)


def _column(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == 'fields':
        key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return key.value
    return None


def _value(node: ast.expr) -> str | int | float | bool:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        value = None
    if not isinstance(value, (str, int, float)) or value != value:
        raise _Fault(f'{ast.unparse(node)!r:.60} must be a text, a number, True or False')
    return value


def _same_kind(one: Any, other: Any) -> bool:
    def kind(value: Any) -> type:
        return float if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value)

    return kind(one) is kind(other)
