"""Prediction files: read as they were written, to the last bit."""

import pytest

from mmvlforge.evaluation.predictions import expected_fields, read_predictions, row_problems, write_predictions

TYPES = ('face_swap', 'face_attribute', 'text_swap', 'text_attribute')
ROWS = [
    dict(
        index=index,
        fake_score=score,
        type_scores=[-1, 1.0000001, -2, 1 / 3],
        box=box,
        word_ids=[0, 1, 1],
        fake_tokens=[1, 0, 0],
    )
    for index, score, box in ((2, 0.1, None), (0, 2 / 3, [10.1, 10, 20, 16]), (1, 1.0, None))
]


def test_file_round_trip_is_exact(tmp_path):
    path = str(tmp_path / 'new' / 'p.jsonl')
    write_predictions(path, ROWS)
    found, lines = read_predictions(path)
    assert found == sorted(ROWS, key=lambda row: row['index'])
    assert lines == [1, 2, 3]
    assert not [problem for row in found for problem in row_problems(row, 2, TYPES, expected_fields(found))]


def test_no_number_that_is_none_is_written(tmp_path):
    with pytest.raises(ValueError, match='not JSON compliant'):
        write_predictions(tmp_path / 'p.jsonl', [dict(ROWS[0], fake_score=float('nan'))])


def test_a_broken_line_stands_in_its_row_s_place(tmp_path):
    path = tmp_path / 'p.jsonl'
    path.write_text('{"index": 1}\n\n{"index": 0,\n')
    (first, broken), lines = read_predictions(path)
    assert (first, lines) == ({'index': 1}, [1, 3])
    assert isinstance(broken, ValueError) and str(broken).startswith('broken JSON at column 13: ')


def test_empty_file_is_an_error(tmp_path):
    path = tmp_path / 'p.jsonl'
    path.write_text('\n')
    with pytest.raises(ValueError, match='p.jsonl: empty'):
        read_predictions(str(path))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'p\.jsonl: no such file'):
        read_predictions(tmp_path / 'p.jsonl')


def test_all_that_is_wrong_with_a_row_is_told():
    row = dict(ROWS[0], fake_score=2, box=[1, 1, 1, 2], word_ids=[0, 5, 1])
    del row['type_scores']
    assert [problem.split(':')[0] for problem in row_problems(row, 2, TYPES, expected_fields(ROWS))] == [
        'type_scores',
        'fake_score',
        'box',
        'word_ids',
    ]


BOX, OTHER = [10.1, 10, 20, 16], [10.1, 10, 20, 17]


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(box=BOX, no_box=dict(coord=True, type=True)), "box: is [10.1, 10, 20, 16], while by {'coord': True, '"),
        (dict(box=BOX, no_box=dict(type=True), raw_box=BOX), "box: is [10.1, 10, 20, 16], while by {'type': True} no "),
        (dict(box=None, no_box=dict(coord=False, type=False), raw_box=BOX), "box: is null, while by {'coord': False, "),
        (dict(box=None, no_box=dict(type=False)), "box: is null, while by {'type': False} every rule finds a box; m"),
        (dict(box=None, no_box=dict(coord=True, type=False)), "raw_box: is missing, while {'coord': True, 'type': F"),
        (dict(box=BOX, no_box=dict(coord=False), raw_box=OTHER), 'raw_box: is [10.1, 10, 20, 17], box is [10.1, 10, '),
        (dict(box=BOX, raw_box=BOX), 'raw_box: stands without no_box; write what the rules say of it, or leave it ou'),
        (dict(box=None, raw_box=BOX, no_box={}), 'raw_box: stands without no_box; '),
    ],
)
def test_what_rules_leave_must_follow_from_them(fields, message):
    (problem,) = row_problems(dict(ROWS[0], **fields), 2, TYPES, ['box'])
    assert problem.startswith(message)


def test_a_missing_box_is_told_once():
    row = {key: value for key, value in ROWS[0].items() if key != 'box'}
    (problem,) = row_problems(dict(row, no_box=dict(type=False)), 2, TYPES, ['box'])
    assert problem.startswith('box: is missing')
    (problem,) = row_problems(dict(row, raw_box=BOX), 2, TYPES, [])
    assert problem.startswith('raw_box: stands without no_box')


@pytest.mark.parametrize(
    'fields',
    [
        dict(box=BOX),
        dict(box=None),
        dict(box=BOX, raw_box=None),
        dict(box=None, no_box={}),
        # As our heads have them.
        dict(box=BOX, no_box=dict(coord=False, type=True)),
        dict(box=None, no_box=dict(coord=True, type=True)),
        dict(box=None, no_box=dict(coord=True, type=False), raw_box=BOX),
        # As somebody writes them who always gives the box before any rule.
        dict(box=BOX, no_box=dict(coord=False, type=True), raw_box=BOX),
        dict(box=None, no_box=dict(coord=True, type=True), raw_box=BOX),
    ],
)
def test_boxes_that_follow_from_their_rules(fields):
    assert not list(row_problems(dict(ROWS[0], **fields), 2, TYPES, ['box']))


@pytest.mark.parametrize('token', [True, False, 1.0, 0.0, 2, None, '1'])
def test_a_token_is_0_or_1(token):
    """Python calls True and 1.0 equal to 1; what wrote them did not write the format."""
    (problem,) = row_problems(dict(ROWS[0], fake_tokens=[1, token, 0]), 2, TYPES, expected_fields(ROWS))
    assert problem.startswith('fake_tokens: is [1, ') and problem.endswith('must be a list of 0 and 1')


def test_a_type_of_any_name_stands_in_one_line():
    row = dict(ROWS[0], type_scores={**dict.fromkeys(TYPES, 0.0), 'a\nb\x1b': 0.0})
    (problem,) = row_problems(row, 2, TYPES, expected_fields(ROWS))
    assert problem.isprintable() and 'has the unknown type a\\nb\\x1b' in problem
