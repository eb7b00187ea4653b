"""The open prediction format: reading, checking, joining with annotations, scoring and writing.

A prediction file is JSON Lines, one row of the annotation file a line, in any order (docs/evaluation.md).
"""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from mmvlforge.annotations.dgm4_record import ClassMap, RecordFormat, dgm4_class_map, record_problems
from mmvlforge.evaluation.manipulation import (
    binary_metrics,
    box_metrics,
    box_scores,
    manipulation_breakdown,
    token_metrics,
    type_breakdown,
    type_metrics,
)

__all__ = [
    'JoinedRows',
    'join',
    'prediction_row',
    'read_predictions',
    'sample_box',
    'sample_fake_score',
    'sample_tokens',
    'sample_type_scores',
    'score',
    'score_rows',
    'trivial_predictions',
    'type_names',
    'write_predictions',
]

FIELDS = ('index', 'fake_score', 'type_scores', 'box', 'word_ids', 'fake_tokens')
MAX_PROBLEMS = 20


def read_predictions(path: str) -> tuple[list, list[int]]:
    """Read a prediction file; empty lines are passed over.

    Args:
        path: JSON Lines, UTF-8.

    Returns:
        The rows and the line number of each, as :func:`join` wants them. A line that is not JSON becomes a ValueError
        in place of its row, for :func:`join` to report with all other problems.
    """
    rows, lines = [], []
    try:
        with open(path, encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    rows.append(json.loads(line))
                except json.JSONDecodeError as error:
                    rows.append(ValueError(f'broken JSON at column {error.colno}: {error.msg}'))
                lines.append(number)
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not UTF-8 text ({error})') from error
    if not rows:
        raise ValueError(f'{path}: empty; expected one JSON object a line')
    return rows, lines


def write_predictions(path: str, rows: Sequence[dict]) -> None:
    """Write rows as JSON Lines, sorted by ``index``; the folder is made if need be."""
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.writelines(json.dumps(row, allow_nan=False) + '\n' for row in sorted(rows, key=lambda row: row['index']))


def _is_number(value: Any) -> bool:
    # The comparison is false for NaN and for both infinities, and safe for integers too big for a float.
    return type(value) in (int, float) and -1.7e308 < value < 1.7e308


def _is_list(value: Any, length: int | None = None) -> bool:
    return isinstance(value, list) and (length is None or len(value) == length)


def _problems(row: dict, n_words: int, types: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a row whose index is known to be right, as ``field: message``."""
    for field in FIELDS:
        if field not in row:
            yield f'{field}: is missing' + (' (write null for "no box")' if field == 'box' else '')

    value = row.get('fake_score', 0)
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

    words = row.get('word_ids', [])
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

    tokens = row.get('fake_tokens')
    if 'fake_tokens' in row:
        if not (_is_list(tokens) and all(token in (0, 1) for token in tokens)):
            yield f'fake_tokens: is {tokens!r:.120}, must be a list of 0 and 1'
        elif _is_list(words) and 'word_ids' in row and len(tokens) != len(words):
            yield f'fake_tokens: has {len(tokens)} values, word_ids has {len(words)}; must be as many'


def _raise(problems: list[str]) -> None:
    rest = len(problems) - MAX_PROBLEMS
    tail = [f'... and {rest} more problems'] if rest > 0 else []
    raise ValueError('\n'.join(problems[:MAX_PROBLEMS] + tail))


def type_names(class_map: ClassMap) -> list[str]:
    """Types of a class map without ``'real'``: image types, then text types, each in order of first appearance."""
    image_types, text_types = (list(dict.fromkeys(t for t in side if t != 'real')) for side in zip(*class_map.values()))
    shared = set(image_types) & set(text_types)
    if shared or not image_types + text_types:
        raise ValueError(
            f'class map: image types {image_types} and text types {text_types} must differ in name, '
            "and at least one class must be other than 'real'"
        )
    return image_types + text_types


class JoinedRows(NamedTuple):
    """Truth and prediction side by side, row i = record i of the annotations. N rows, T types.

    Attributes:
        classes: ``fake_cls`` of each row.
        types: Names of the T types, image types first.
        fake: True for manipulated rows, ``(N,)``.
        fake_scores: P(fake), ``(N,)``.
        true_types: True where the row has the type, ``(N, T)``.
        type_scores: Log-odds, ``(N, T)``.
        true_boxes: xyxy pixels, zeros for "no box", ``(N, 4)``.
        boxes: The predicted ones, likewise.
        token_counts: See :func:`mmvlforge.evaluation.manipulation.token_metrics`, ``(N, 3)``.
        words: Words of all captions.
        uncovered_words: Those of them that no predicted token belongs to; they count nowhere.
    """

    classes: list[str]
    types: list[str]
    fake: np.ndarray
    fake_scores: np.ndarray
    true_types: np.ndarray
    type_scores: np.ndarray
    true_boxes: np.ndarray
    boxes: np.ndarray
    token_counts: np.ndarray
    words: int
    uncovered_words: int


def _check_records(records: Sequence[dict], class_map: ClassMap, ann_file: str) -> RecordFormat:
    # A set without boxes or word positions leaves the field out of all records; out of some only, it is a fault.
    box_field, word_field = (
        field if any(isinstance(record, dict) and field in record for record in records) else None
        for field in ('fake_image_box', 'fake_text_pos')
    )
    fmt = RecordFormat(class_map, box_field, word_field, check_agreement=False)
    problems = [
        f'{ann_file}, record {i}: {problem.field}: {problem.message}'
        for i, record in enumerate(records)
        for problem in record_problems(record, fmt)
    ]
    if problems:
        _raise(problems)
    return fmt


def join(
    records: Sequence[dict],
    predictions: Sequence[dict],
    class_map: ClassMap | None = None,
    ann_file: str = 'annotations',
    pred_file: str = 'predictions',
    lines: Sequence[int] | None = None,
) -> JoinedRows:
    """Check predictions against annotation records and put both in the records' order.

    Args:
        records: Annotation records (``mmvlforge.annotations.annotation_file.read_annotations``).
        predictions: Rows of the prediction format in any order; fields it does not know are ignored.
        class_map: ``fake_cls`` → ``(image type, text type)``, ``'real'`` for an untouched modality. Defaults to DGM⁴'s
            nine classes.
        ann_file: Name of the annotation file for messages.
        pred_file: Name of the prediction file for messages.
        lines: Line of each prediction in it. Defaults to 1, 2, 3, ...

    Raises:
        ValueError: At least one fault; up to 20 are told, each with place and field.
    """
    class_map = class_map or dgm4_class_map()
    types = type_names(class_map)
    n = len(records)
    if not n:
        raise ValueError(f'{ann_file}: no records to score')
    fmt = _check_records(records, class_map, ann_file)
    lines = lines or range(1, len(predictions) + 1)

    fake_scores, type_scores = np.zeros(n), np.zeros((n, len(types)))
    boxes, true_boxes = np.zeros((n, 4)), np.zeros((n, 4))
    token_counts = np.zeros((n, 3), dtype=np.int64)
    words = uncovered = 0
    first_line: dict[int, int] = {}
    problems: list[str] = []
    for line, row in zip(lines, predictions):
        place = f'{pred_file}:{line}'
        if isinstance(row, ValueError):
            problems.append(f'{place}: {row}')
            continue
        if not isinstance(row, dict):
            problems.append(f'{place}: {row!r:.60} must be a JSON object')
            continue
        index = row.get('index')
        if type(index) is not int or not 0 <= index < n:
            problems.append(f'{place}: index: {index!r:.60} is no row of {ann_file} (0 to {n - 1})')
            continue
        if index in first_line:
            problems.append(f'{place}: index: row {index} is predicted already, in line {first_line[index]}')
            continue
        first_line[index] = line
        record = records[index]
        n_words = len(record['text'].split())
        found = [f'{place}: {problem}' for problem in _problems(row, n_words, types)]
        if found:
            problems += found
            continue
        fake_scores[index] = row['fake_score']
        type_scores[index] = row['type_scores']
        if row['box'] is not None:
            boxes[index] = row['box']
        if fmt.box_field and record[fmt.box_field]:
            true_boxes[index] = record[fmt.box_field]
        fake_words = set(record[fmt.word_field]) if fmt.word_field else set()
        truth = [word in fake_words for word in row['word_ids']]
        correct = sum(token for token, is_fake in zip(row['fake_tokens'], truth) if is_fake)
        token_counts[index] = correct, sum(row['fake_tokens']), sum(truth)
        words += n_words
        uncovered += n_words - len(set(row['word_ids']))

    missing = [i for i in range(n) if i not in first_line]
    if missing:
        shown = ', '.join(map(str, missing[:10])) + (', ...' if len(missing) > 10 else '')
        # First, because it is one line and the rest may be cut.
        problems.insert(0, f'{pred_file}: index: {len(missing)} of {n} rows have no prediction: {shown}')
    if problems:
        _raise(problems)

    class_types = {name: [t in pair for t in types] for name, pair in class_map.items()}
    true_types = np.array([class_types[record['fake_cls']] for record in records])
    return JoinedRows(
        classes=[record['fake_cls'] for record in records],
        types=types,
        fake=true_types.any(axis=1),
        fake_scores=fake_scores,
        true_types=true_types,
        type_scores=type_scores,
        true_boxes=true_boxes,
        boxes=boxes,
        token_counts=token_counts,
        words=words,
        uncovered_words=uncovered,
    )


def score_rows(rows: JoinedRows, protocol: str = 'dgm4', per_class: bool = False) -> dict:
    """All metrics of joined rows, in percent.

    Args:
        rows: From :func:`join`.
        protocol: ``'dgm4'`` or ``'strict'``, see :func:`mmvlforge.evaluation.manipulation.box_scores`.
        per_class: Whether to add the tables ``per_class`` and ``per_manipulation``.
    """
    result = {
        **binary_metrics(rows.fake_scores, rows.fake),
        **type_metrics(rows.type_scores, rows.true_types),
        **box_metrics(rows.boxes, rows.true_boxes, protocol),
        **token_metrics(rows.token_counts),
    }
    if per_class:
        result['per_class'] = type_breakdown(rows.type_scores, rows.true_types, rows.types)
        result['per_manipulation'] = manipulation_breakdown(
            rows.classes, rows.fake_scores, box_scores(rows.boxes, rows.true_boxes, protocol), rows.token_counts
        )
    return result


def score(
    records: Sequence[dict],
    predictions: Sequence[dict],
    protocol: str = 'dgm4',
    class_map: ClassMap | None = None,
    per_class: bool = False,
) -> dict:
    """Score predictions against annotation records: :func:`join`, then :func:`score_rows`."""
    return score_rows(join(records, predictions, class_map), protocol, per_class)


def trivial_predictions(records: Sequence[dict], class_map: ClassMap | None = None) -> list[dict]:
    """What a model predicts that knows the shares of the classes and nothing else.

    Every row gets the share of fake rows as its fake score, the log-odds of each type's share as its type scores, no
    box and no manipulated token. The share of a type is (rows + 1) / (all rows + 2), so that its log-odds is finite.

    Args:
        records: Annotation records.
        class_map: See :func:`join`.
    """
    class_map = class_map or dgm4_class_map()
    counts = Counter(record['fake_cls'] for record in records)

    def rows_of(name: str) -> int:
        return sum(counts[cls] for cls, pair in class_map.items() if name in pair)

    types = type_names(class_map)
    n, real = len(records), sum(counts[cls] for cls, pair in class_map.items() if tuple(pair) == ('real', 'real'))
    type_scores = [math.log((rows_of(name) + 1) / (n - rows_of(name) + 1)) for name in types]
    predictions = []
    for index, record in enumerate(records):
        words = list(range(len(record['text'].split())))
        predictions.append(
            dict(
                index=index,
                fake_score=(n - real) / n,
                type_scores=type_scores,
                box=None,
                word_ids=words,
                fake_tokens=[0] * len(words),
            )
        )
    return predictions


_WRITTEN_BY = {
    'pred_fake_score': 'the binary head',
    'pred_type_scores': 'the manipulation type head',
    'pred_box': 'the box head',
    'pred_tokens': 'the token head',
}


def _field(sample: dict, field: str):
    if field not in sample:
        source = _WRITTEN_BY.get(field, 'the data set')
        raise ValueError(f"sample {sample.get('index')}: no field '{field}', which {source} writes")
    return sample[field]


def _values(sample: dict, field: str) -> np.ndarray:
    """A field as float64, exactly: float32 and bfloat16 values are float64 values too."""
    values = torch.as_tensor(_field(sample, field)).detach().cpu().double().numpy()
    if not np.isfinite(values).all():
        raise ValueError(f'sample {sample.get("index")}: {field} is {values.tolist()}, must be finite')
    return values


def sample_fake_score(sample: dict) -> float:
    """P(fake) of a predicted sample."""
    value = float(_values(sample, 'pred_fake_score'))
    if not 0 <= value <= 1:
        raise ValueError(f'sample {sample.get("index")}: pred_fake_score is {value}, must be a probability in [0, 1]')
    return value


def sample_type_scores(sample: dict, n_types: int) -> list[float]:
    """Log-odds of a predicted sample's types.

    Args:
        sample: Fields of a ``VLDataSample``.
        n_types: How many there must be.
    """
    values = _values(sample, 'pred_type_scores')
    if values.shape != (n_types,):
        raise ValueError(
            f'sample {sample.get("index")}: pred_type_scores has shape {values.shape}, the data set has {n_types} types'
        )
    return values.tolist()


def sample_box(sample: dict, field: str = 'pred_box') -> list[float] | None:
    """A sample's box, xyxy, or None.

    A predicted side that has shrunk to nothing in float32 is widened by the smallest step float32 has: such a box
    overlaps nothing, but it is not "no box".
    """
    if _field(sample, field) is None:
        return None
    box = _values(sample, field)
    if box.shape != (4,) or (box[2:] < box[:2]).any():
        where = f'sample {sample.get("index")}: {field}'
        raise ValueError(f'{where} is {box.tolist()}, must be [x1, y1, x2, y2] with x1 < x2 and y1 < y2')
    box[2:] = np.maximum(box[2:], np.nextafter(box[:2].astype(np.float32), np.float32(np.inf)))
    return box.tolist()


def sample_tokens(sample: dict, field: str = 'pred_tokens') -> list[int]:
    """A sample's tokens as 0 and 1, one for each of its ``word_ids``."""
    values = _values(sample, field)
    n = len(_field(sample, 'word_ids'))
    if values.shape != (n,):
        raise ValueError(f'sample {sample.get("index")}: {field} has shape {values.shape}, word_ids has {n} tokens')
    return (values == 1).astype(int).tolist()


def prediction_row(sample: dict, n_types: int) -> dict:
    """A predicted sample in the prediction format.

    Args:
        sample: Fields of a ``VLDataSample`` with all predictions.
        n_types: Number of manipulation types of the data set.
    """
    return dict(
        index=int(_field(sample, 'index')),
        fake_score=sample_fake_score(sample),
        type_scores=sample_type_scores(sample, n_types),
        box=sample_box(sample),
        word_ids=[int(word) for word in _field(sample, 'word_ids')],
        fake_tokens=sample_tokens(sample),
    )
