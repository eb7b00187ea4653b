"""The two forms of annotation files, and broken ones."""

import json

import pytest

from mmvlforge.annotations.annotation_file import read_annotations

RECORDS = [{'text': 'one\u2028two', 'fake_cls': 'orig'}, {'text': 'three', 'fake_cls': 'text_swap'}]


def write(tmp_path, text):
    path = tmp_path / 'ann.json'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    'text',
    [
        json.dumps(RECORDS),
        '\n ' + json.dumps(RECORDS, indent=2),
        # A line separator inside a caption ends no line.
        '\n'.join(json.dumps(r, ensure_ascii=False) for r in RECORDS),
        '\r\n'.join(json.dumps(r) for r in RECORDS) + '\r\n\r\n',
    ],
)
def test_both_forms_give_the_same_records(tmp_path, text):
    assert read_annotations(write(tmp_path, text)) == RECORDS


def test_a_carriage_return_ends_no_line(tmp_path):
    """It is a blank for JSON, and a record in two lines would be two broken ones."""
    assert read_annotations(write(tmp_path, '{"a":\r1}\n{"a": 2}')) == [{'a': 1}, {'a': 2}]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[{"a": 1},\n{"a": }]', 'ann.json:2: broken JSON in record 1 at column 7'),
        ('{"a": 1}\n\n{"a": 1', 'ann.json:3: broken JSON'),
        ('[{"a": 1}, 7]', 'ann.json, record 1: 7 must be a JSON object'),
        ('{"a": 1}\n7\n', 'ann.json:2: 7 must be a JSON object'),
        ('', 'ann.json: no records'),
        ('[]', 'ann.json: no records'),
        ('[{"a": 1}, {"a": 1, "a": 2}]', "ann.json:1: broken JSON in record 1 at column 21: the key 'a' stands twice"),
        ('{"a": 1}\n{"a": 1, "a": 2}', "ann.json:2: broken JSON at column 10: the key 'a' stands twice"),
        (b'{"a": "\xff"}', 'ann.json: not UTF-8'),
    ],
)
def test_broken_files_name_the_line(tmp_path, text, message):
    with pytest.raises(ValueError, match='ann.json') as error:
        read_annotations(write(tmp_path, text))
    assert message in str(error.value)


def test_broken_entries_are_told_with_their_rows(tmp_path):
    broken = {}
    path = write(tmp_path, '{"a": 1}\n\n{"a": 1\n7\n{"a": 2}')
    assert read_annotations(path, broken) == [{'a': 1}, None, None, {'a': 2}]
    assert list(broken) == [1, 2]
    assert broken[1].startswith(f'{path}:3: broken JSON at column 8: ')
    assert broken[2] == f'{path}:4: 7 must be a JSON object'


def test_a_key_twice_spoils_its_record_alone(tmp_path):
    broken = {}
    assert read_annotations(write(tmp_path, '[{"a": 1, "a": 2}, {"a": 3}]'), broken) == [None, {'a': 3}]
    assert "in record 0 at column 11: the key 'a' stands twice" in broken[0]


def test_missing_file_says_where_data_go(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.json: no such annotation file; docs/data\.md says where'):
        read_annotations(str(tmp_path / 'none.json'))
