"""The open prediction format: reading, checking and writing files.

A prediction file is JSON Lines, one row of the annotation file a line, in any order (docs/evaluation.md).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmvlforge.annotations.json_files import iter_json_lines, read_text

__all__ = ['FIELDS', 'read_predictions', 'row_problems', 'write_predictions']

FIELDS = ('index', 'fake_score', 'type_scores', 'box', 'word_ids', 'fake_tokens')


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


def _is_number(value: Any) -> bool:
    # The comparison is false for NaN and for both infinities, and safe for integers too big for a float.
    return type(value) in (int, float) and -1.7e308 < value < 1.7e308


def _is_list(value: Any, length: int | None = None) -> bool:
    return isinstance(value, list) and (length is None or len(value) == length)


def row_problems(row: dict, n_words: int, types: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a row whose index is known to be right, as ``field: message``.

    Args:
        row: The row.
        n_words: Words of its caption.
        types: Names of the types that it must give scores for.
    """
    for field in FIELDS:
        if field not in row:
            yield f'{field}: is missing' + (' (write null for "no box")' if field == 'box' else '')

    value: Any = row.get('fake_score', 0)
    if not (_is_number(value) and 0 <= value <= 1):
        yield f'fake_score: is {value!r:.60}, must be a probability in [0, 1]'

    value = row.get('type_scores')
    if 'type_scores' in row and not (_is_list(value, len(types)) and all(map(_is_number, value))):
        yield f'type_scores: is {value!r:.120}, must be {len(types)} finite numbers ({", ".join(types)})'

    box = row.get('box')
    if box is not None:
        if not (_is_list(box, 4) and all(map(_is_number, box))):
            yield f'box: is {box!r:.120}, must be 4 finite numbers [x1, y1, x2, y2], or null for "no box"'
        elif not (box[0] < box[2] and box[1] < box[3]):
            yield f'box: is {box}, must have x1 < x2 and y1 < y2; write null for "no box"'

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
