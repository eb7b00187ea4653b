"""The open prediction format: reading, checking and writing files.

A prediction file is JSON Lines, one row of the annotation file a line, in any order (docs/evaluation.md).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmvlforge.annotations.json_files import iter_json_lines, read_text
from mmvlforge.annotations.values import one_line

__all__ = ['box_problems', 'expected_fields', 'read_predictions', 'row_problems', 'write_predictions']

# What a model may lack a head for. A part is in all rows of a file or in none.
_PARTS = (('type_scores',), ('box',), ('word_ids', 'fake_tokens'))


def read_predictions(path: str | Path) -> tuple[list, list[int]]:
    """Read a prediction file; empty lines are passed over.

    Args:
        path: JSON Lines, UTF-8.

    Returns:
        The rows and the line number of each, as :func:`mmvlforge.evaluation.scoring.join` wants them. A line that is
        not JSON becomes a ValueError in place of its row, for ``join`` to report with all other problems.
    """
    lines, rows = [], []
    for line, row in iter_json_lines(read_text(path)):
        lines.append(line)
        rows.append(row)
    if not rows:
        raise ValueError(f'{path}: empty; expected one JSON object a line')
    return rows, lines


def write_predictions(path: str | Path, rows: Sequence[dict]) -> None:
    """Write rows as JSON Lines, sorted by ``index``; the folder is made if need be."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.writelines(json.dumps(row, allow_nan=False) + '\n' for row in sorted(rows, key=lambda row: row['index']))


def expected_fields(rows: Iterable[dict]) -> list[str]:
    """The fields that each row of a file must have: those of all parts that any of its rows has."""
    found = set().union(*rows)
    if 'no_box' in found:  # it says nothing without a box
        found.add('box')
    fields = [field for part in _PARTS if found.intersection(part) for field in part]
    return ['index', 'fake_score', *fields, *(['no_box'] if 'no_box' in found else [])]


def _is_number(value: Any) -> bool:
    # The comparison is false for NaN and for both infinities, and safe for integers too big for a float.
    return type(value) in (int, float) and -1.7e308 < value < 1.7e308


def _is_list(value: Any, length: int | None = None) -> bool:
    return isinstance(value, list) and (length is None or len(value) == length)


def _type_problem(scores: Any, types: Sequence[str], order_known: bool) -> str | None:
    """What is wrong with log-odds: an object that names each type, or, in a known order, a list."""
    names = ', '.join(types)
    if isinstance(scores, list):
        if not order_known:
            example = ', '.join(f'"{name}": ...' for name in types)
            return (
                f'is a list, and a class map does not say in which order; name the types: {{{example}}}, '
                'or score with --config of the data set'
            )
        values: Iterable[Any] = scores
        if len(scores) != len(types):
            return f'is {scores!r:.120}, must be {len(types)} finite numbers ({names})'
    elif isinstance(scores, dict):
        values = scores.values()
        for wrong, what in (
            ([name for name in types if name not in scores], 'has no'),
            ([name for name in scores if name not in types], 'has the unknown type'),
        ):
            if wrong:
                return f'{what} {one_line(", ".join(wrong)[:120])}; must name {names}'
    else:
        return f'is {scores!r:.120}, must be an object, type to finite number ({names})'
    if not all(map(_is_number, values)):
        return f'is {scores!r:.120}, must be {len(types)} finite numbers ({names})'
    return None


def box_problems(row: dict) -> Iterator[str]:
    """Yield where a row's ``box``, ``raw_box`` and ``no_box`` contradict each other, as ``field: message``."""
    box, raw_box, no_box = row.get('box'), row.get('raw_box'), row.get('no_box', {})
    if not no_box:
        if raw_box is not None:
            yield 'raw_box: stands without no_box; write what the rules say of it, or leave it out'
    elif box is None and not any(no_box.values()):
        yield f'box: is null, while by {no_box!r:.120} every rule finds a box; must be what one of them leaves'
    elif box is not None and all(no_box.values()):
        yield f'box: is {box!r:.120}, while by {no_box!r:.120} no rule finds a box; must then be null'
    elif box is None and raw_box is None and not all(no_box.values()):
        yield f'raw_box: is missing, while {no_box!r:.120} finds a box and box has none'
    if box is not None and raw_box is not None and box != raw_box:
        yield f'raw_box: is {raw_box!r:.120}, box is {box!r:.120}; must be equal, for a rule leaves a box or drops it'


def row_problems(
    row: dict, n_words: int, types: Sequence[str], fields: Sequence[str], order_known: bool = True
) -> Iterator[str]:
    """Yield what is wrong with a row whose index is known to be right, as ``field: message``.

    Args:
        row: The row.
        n_words: Words of its caption.
        types: Names of the types that it must give scores for.
        fields: What it must have, see :func:`expected_fields`.
        order_known: Whether a list of type scores, which names none of them, may be read in the order of ``types``.
    """
    for field in fields:
        if field not in row:
            yield f'{field}: is missing' + (' (write null for "no box")' if field == 'box' else '')

    value: Any = row.get('fake_score', 0)
    if not (_is_number(value) and 0 <= value <= 1):
        yield f'fake_score: is {value!r:.60}, must be a probability in [0, 1]'

    if 'type_scores' in row:
        problem = _type_problem(row['type_scores'], types, order_known)
        if problem:
            yield f'type_scores: {problem}'

    for field in ('box', 'raw_box'):
        box = row.get(field)
        if box is not None and not (_is_list(box, 4) and all(map(_is_number, box))):
            yield f'{field}: is {box!r:.120}, must be 4 finite numbers [x1, y1, x2, y2], or null for "no box"'
        elif box is not None and not (box[0] < box[2] and box[1] < box[3]):
            yield f'{field}: is {box}, must have x1 < x2 and y1 < y2; write null for "no box"'
    size: Any = row.get('size', [1, 1])
    if not (_is_list(size, 2) and all(_is_number(side) and side > 0 for side in size)):
        yield f'size: is {size!r:.60}, must be [width, height] of the stored image, in pixels'
    no_box: Any = row.get('no_box', {})
    if not (isinstance(no_box, dict) and all(type(gone) is bool for gone in no_box.values())):
        yield f'no_box: is {no_box!r:.120}, must be an object, name of the rule to true or false'
    elif 'box' in row or not no_box:  # a missing box is told above
        yield from box_problems(row)

    words: Any = row.get('word_ids', [])
    if not (_is_list(words) and all(type(word) is int for word in words)):
        yield f'word_ids: is {words!r:.120}, must be a list of integers'
    else:
        last = 0
        for word in words:
            if not 0 <= word < n_words:
                yield f'word_ids: {word} is not a word of the caption (0 to {n_words - 1})'
                break
            if word < last:
                yield f'word_ids: falls from {last} to {word}, must not decrease'
                break
            last = word

    tokens: Any = row.get('fake_tokens')
    if 'fake_tokens' in row:
        if not (_is_list(tokens) and all(type(token) is int and token in (0, 1) for token in tokens)):
            yield f'fake_tokens: is {tokens!r:.120}, must be a list of 0 and 1'
        elif _is_list(words) and 'word_ids' in row and len(tokens) != len(words):
            yield f'fake_tokens: has {len(tokens)} values, word_ids has {len(words)}; must be as many'
