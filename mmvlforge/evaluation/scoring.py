"""Truth and prediction side by side, and every metric of both."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmvlforge.annotations.dgm4_record import (
    IMAGE_TYPES,
    TEXT_TYPES,
    RecordFormat,
    box_inside,
    dgm4_class_map,
    record_problems,
)
from mmvlforge.annotations.json_files import read_json_object
from mmvlforge.evaluation.manipulation import (
    binary_metrics,
    box_metrics,
    box_scores,
    manipulation_breakdown,
    token_metrics,
    type_breakdown,
    type_metrics,
)
from mmvlforge.evaluation.predictions import expected_fields, row_problems

__all__ = [
    'JoinedRows',
    'join',
    'left_out',
    'read_classes',
    'score',
    'score_rows',
    'trivial_predictions',
    'type_names',
    'uncut_boxes',
]

MAX_PROBLEMS = 20
_NO_BOX = [0.0] * 4
_DGM4 = RecordFormat(dgm4_class_map(), image_types=IMAGE_TYPES, text_types=TEXT_TYPES)


def read_classes(path: str | Path) -> RecordFormat:
    """The record format of a set with other classes than DGM⁴, from a JSON file.

    Args:
        path: ``{fake_cls: [image type, text type]}``, ``"real"`` for an untouched modality.
    """
    classes = read_json_object(path)
    pairs = classes.values()
    if not pairs or not all(isinstance(p, list) and len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs):
        raise ValueError(f'{path}: must be a JSON object {{fake_cls: [image type, text type]}}, all strings')
    return RecordFormat({name: (image, text) for name, (image, text) in classes.items()})


def type_names(image_types: Sequence[str], text_types: Sequence[str]) -> list[str]:
    """The types that scores are given for: image types, then text types, each without its first, the real one."""
    images, texts = list(image_types[1:]), list(text_types[1:])
    if len({*images, *texts}) < len(images + texts) or not images + texts:
        raise ValueError(
            f'class map: image types {images} and text types {texts} must differ in name, '
            "and at least one class must be other than 'real'"
        )
    return images + texts


class JoinedRows(NamedTuple):
    """Truth and prediction side by side, row i = record i of the annotations. N rows, T types.

    What the prediction file has no field for is None: the model has no such head, which is not the same as a head that
    finds nothing.

    Attributes:
        records: The annotation records.
        predictions: The rows of the prediction file, in the records' order.
        format: What the records hold: a field of which they have nothing is None.
        types: Names of the T types, image types first.
        fake: True for manipulated rows, ``(N,)``.
        fake_scores: P(fake), ``(N,)``.
        true_types: True where the row has the type, ``(N, T)``.
        type_scores: Log-odds, ``(N, T)``, or None.
        true_boxes: As annotated, xyxy pixels, zeros for "no box", ``(N, 4)``.
        boxes: The predicted ones, likewise, or None.
        rule_boxes: Rule for "no box" → the predicted ones under it; empty if the file does not say.
        sizes: Width and height of each stored image, inf where the file does not say, ``(N, 2)``.
        true_tokens: 1 for each manipulated token of the prediction's ``word_ids``, N lists, or None.
        token_counts: See :func:`mmvlforge.evaluation.manipulation.token_metrics`, ``(N, 3)``, or None.
        words: Words of all captions.
        uncovered_words: Those of them that no predicted token belongs to; they count nowhere. 0 without tokens.
    """

    records: Sequence[dict]
    predictions: list[dict]
    format: RecordFormat
    types: list[str]
    fake: np.ndarray
    fake_scores: np.ndarray
    true_types: np.ndarray
    type_scores: np.ndarray | None
    true_boxes: np.ndarray
    boxes: np.ndarray | None
    rule_boxes: dict[str, np.ndarray]
    sizes: np.ndarray
    true_tokens: list[list[int]] | None
    token_counts: np.ndarray | None
    words: int
    uncovered_words: int


def _raise(problems: list[str]) -> None:
    rest = len(problems) - MAX_PROBLEMS
    tail = [f'... and {rest} more problems'] if rest > 0 else []
    raise ValueError('\n'.join(problems[:MAX_PROBLEMS] + tail))


def _present(records: Sequence[Any], field: str | None) -> str | None:
    """A set without boxes or word positions leaves the field out of all records; out of some only, it is a fault."""
    return field if any(isinstance(record, dict) and field in record for record in records) else None


def _checked_format(records: Sequence[Any], fmt: RecordFormat, ann_file: str | Path) -> RecordFormat:
    """The format as far as the records hold it. Whether class, box and words agree is the checker's business."""
    fmt = replace(
        fmt,
        box_field=_present(records, fmt.box_field),
        word_field=_present(records, fmt.word_field),
        check_agreement=False,
    )
    problems = [
        f'{ann_file}, record {i}: {problem.field}: {problem.message}'
        for i, record in enumerate(records)
        for problem in record_problems(record, fmt)
    ]
    if problems:
        _raise(problems)
    return fmt


def _in_order(
    predictions: Sequence[Any],
    records: Sequence[dict],
    types: Sequence[str],
    fields: Sequence[str],
    order_known: bool,
    ann_file: str | Path,
    pred_file: str | Path,
    lines: Sequence[int],
) -> list[dict]:
    """The predictions in the records' order, each checked."""
    n = len(records)
    found: dict[int, tuple[int, dict]] = {}
    problems: list[str] = []
    rules: dict = {}
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
        if index in found:
            problems.append(f'{place}: index: row {index} is predicted already, in line {found[index][0]}')
            continue
        found[index] = line, row
        n_words = len(records[index]['text'].split())
        problems += [f'{place}: {problem}' for problem in row_problems(row, n_words, types, fields, order_known)]
        if isinstance(row.get('no_box'), dict):
            rules = rules or row['no_box']
            if row['no_box'].keys() != rules.keys():
                problems.append(f'{place}: no_box: has {list(row["no_box"])}, other rows have {list(rules)}')
    missing = [i for i in range(n) if i not in found]
    if missing:
        shown = ', '.join(map(str, missing[:10])) + (', ...' if len(missing) > 10 else '')
        # First, because it is one line and the rest may be cut.
        problems.insert(0, f'{pred_file}: index: {len(missing)} of {n} rows have no prediction: {shown}')
    if problems:
        _raise(problems)
    return [found[i][1] for i in range(n)]


def join(
    records: Sequence[dict],
    predictions: Sequence[Any],
    fmt: RecordFormat | None = None,
    ann_file: str | Path = 'annotations',
    pred_file: str | Path = 'predictions',
    lines: Sequence[int] | None = None,
) -> JoinedRows:
    """Check predictions against annotation records and put both in the records' order.

    Args:
        records: Annotation records (``mmvlforge.annotations.annotation_file.read_annotations``).
        predictions: Rows of the prediction format in any order; fields it does not know are ignored.
        fmt: How the set writes its records. Defaults to DGM⁴'s format.
        ann_file: Name of the annotation file for messages.
        pred_file: Name of the prediction file for messages.
        lines: Line of each prediction in it. Defaults to 1, 2, 3, ...

    Raises:
        ValueError: At least one fault; up to 20 are told, each with place and field.
    """
    fmt = fmt or _DGM4
    types = type_names(fmt.image_types, fmt.text_types)
    if not records:
        raise ValueError(f'{ann_file}: no records to score')
    fmt = _checked_format(records, fmt, ann_file)
    fields = expected_fields(row for row in predictions if isinstance(row, dict))
    lines = lines or range(1, len(predictions) + 1)
    rows = _in_order(predictions, records, types, fields, bool(fmt.order_known), ann_file, pred_file, lines)

    true_boxes = [(record[fmt.box_field] if fmt.box_field else None) or _NO_BOX for record in records]
    problems = []
    for i, (box, row) in enumerate(zip(true_boxes, rows)):
        try:
            if box is not _NO_BOX:
                box_inside(box, row.get('size'), fmt.box_tolerance)
        except ValueError as error:
            problems.append(f'{ann_file}, record {i}: {fmt.box_field}: by the size that {pred_file} gives, {error}')
    if problems:
        _raise(problems)
    rules = rows[0]['no_box'] if 'no_box' in fields else ()
    true_tokens, token_counts = [], []
    words = sum(len(record['text'].split()) for record in records)
    uncovered = 0
    for record, row in zip(records, rows) if 'word_ids' in fields else ():
        fake_words = set(record[fmt.word_field]) if fmt.word_field else set()
        truth = [int(word in fake_words) for word in row['word_ids']]
        hits = sum(token for token, is_fake in zip(row['fake_tokens'], truth) if is_fake)
        true_tokens.append(truth)
        token_counts.append((hits, sum(row['fake_tokens']), sum(truth)))
        uncovered += len(record['text'].split()) - len(set(row['word_ids']))

    class_types = {name: [t in pair for t in types] for name, pair in fmt.class_map.items()}
    true_types = np.array([class_types[record['fake_cls']] for record in records])
    return JoinedRows(
        records=records,
        predictions=rows,
        format=fmt,
        types=types,
        fake=np.any(true_types, axis=1),
        fake_scores=np.array([row['fake_score'] for row in rows], np.float64),
        true_types=true_types,
        type_scores=_type_scores(rows, types) if 'type_scores' in fields else None,
        true_boxes=np.array(true_boxes, np.float64),
        boxes=np.array([row['box'] or _NO_BOX for row in rows], np.float64) if 'box' in fields else None,
        rule_boxes={rule: _rule_boxes(rows, rule) for rule in rules},
        sizes=np.array([row.get('size', (math.inf, math.inf)) for row in rows], np.float64),
        true_tokens=true_tokens if 'word_ids' in fields else None,
        token_counts=np.array(token_counts, np.int64) if 'word_ids' in fields else None,
        words=words,
        uncovered_words=uncovered,
    )


def _type_scores(rows: Sequence[dict], types: Sequence[str]) -> np.ndarray:
    given = [row['type_scores'] for row in rows]
    named = [scores if isinstance(scores, list) else [scores[name] for name in types] for scores in given]
    return np.array(named, np.float64)


def _rule_boxes(rows: Sequence[dict], rule: str) -> np.ndarray:
    kept = [_NO_BOX if row['no_box'][rule] else row['box'] or row['raw_box'] for row in rows]
    return np.array(kept, np.float64)


def left_out(rows: JoinedRows) -> list[str]:
    """A line for each part whose metrics :func:`score_rows` leaves out, and why."""
    why = [
        ('the predictions have no type_scores', rows.type_scores is None, 'mAP, CF1, OF1'),
        ('the annotations have no boxes', rows.format.box_field is None, 'IoUmean, IoU50, IoU75, IoUmean_boxed'),
        ('the predictions have no box', rows.boxes is None, 'IoUmean, IoU50, IoU75, IoUmean_boxed'),
        ('the annotations have no word positions', rows.format.word_field is None, 'Precision, Recall, F1'),
        ('the predictions have no word_ids', rows.token_counts is None, 'Precision, Recall, F1'),
    ]
    told: dict[str, str] = {}
    for reason, holds, metrics in why:
        if holds:
            told.setdefault(metrics, reason)
    return [f'{reason}: {metrics} are left out' for metrics, reason in told.items()]


def uncut_boxes(rows: JoinedRows) -> int:
    """How many predicted boxes the protocol ``'strict'`` cannot cut, because the size of their picture is unknown."""
    if rows.boxes is None:
        return 0
    return int(np.sum((rows.boxes[:, 2] > rows.boxes[:, 0]) & ~np.isfinite(rows.sizes).all(axis=1)))


def score_rows(rows: JoinedRows, protocol: str = 'dgm4', per_class: bool = False) -> dict[str, Any]:
    """All metrics of joined rows, in percent; those of a part that truth or prediction says nothing of are left out.

    Args:
        rows: From :func:`join`.
        protocol: ``'dgm4'`` or ``'strict'``, see :func:`mmvlforge.evaluation.manipulation.box_scores`.
        per_class: Whether to add the tables ``per_class`` and ``per_manipulation``.
    """
    type_scores = rows.type_scores
    boxes = rows.boxes if rows.format.box_field else None
    token_counts = rows.token_counts if rows.format.word_field else None
    result: dict[str, Any] = binary_metrics(rows.fake_scores, rows.fake)
    if type_scores is not None:
        result |= type_metrics(type_scores, rows.true_types)
    if boxes is not None:
        result |= box_metrics(boxes, rows.true_boxes, protocol, rows.sizes, rows.rule_boxes)
    if token_counts is not None:
        result |= token_metrics(token_counts)
    if per_class:
        if type_scores is not None:
            result['per_class'] = type_breakdown(type_scores, rows.true_types, rows.types)
        result['per_manipulation'] = manipulation_breakdown(
            [record['fake_cls'] for record in rows.records],
            rows.fake_scores,
            None if boxes is None else box_scores(boxes, rows.true_boxes, protocol, rows.sizes),
            token_counts,
        )
    return result


def score(
    records: Sequence[dict],
    predictions: Sequence[Any],
    protocol: str = 'dgm4',
    fmt: RecordFormat | None = None,
    per_class: bool = False,
) -> dict[str, Any]:
    """Score predictions against annotation records: :func:`join`, then :func:`score_rows`."""
    return score_rows(join(records, predictions, fmt), protocol, per_class)


def trivial_predictions(
    records: Sequence[dict], fmt: RecordFormat | None = None, no_box_rules: Iterable[str] = ()
) -> list[dict]:
    """What a model predicts that knows the shares of the classes and nothing else.

    Every row gets the share of fake rows as its fake score, the log-odds of each type's share as its type scores, no
    box and no manipulated token. The share of a type is (rows + 1) / (all rows + 2), so that its log-odds is finite.

    Args:
        records: Annotation records.
        fmt: See :func:`join`.
        no_box_rules: Rules by which there is no box either.
    """
    fmt = fmt or _DGM4
    ruled = {'no_box': dict.fromkeys(no_box_rules, True)} if no_box_rules else {}
    pairs = fmt.class_map.items()
    counts = Counter(record['fake_cls'] for record in records)

    def rows_of(name: str) -> int:
        return sum(counts[cls] for cls, pair in pairs if name in pair)

    n, real = len(records), sum(counts[cls] for cls, pair in pairs if tuple(pair) == ('real', 'real'))
    types = type_names(fmt.image_types, fmt.text_types)
    type_scores = {name: math.log((rows_of(name) + 1) / (n - rows_of(name) + 1)) for name in types}
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
                **ruled,
            )
        )
    return predictions
