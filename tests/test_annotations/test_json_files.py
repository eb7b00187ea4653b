"""The one JSON reader: what it takes, and faults with file, line and column."""

import json

import pytest

from mmvlforge.annotations.json_files import (
    iter_json_array,
    iter_json_lines,
    parse_json,
    read_json,
    read_json_object,
    write_json,
)

VALUE = {'caf\u00e9': [1, None, 'a\u2028b'], 'n': 0.1}


@pytest.fixture
def write(tmp_path):
    def run(text):
        path = tmp_path / 'x.json'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return run


def told(run):
    with pytest.raises(ValueError, match='.') as error:
        run()
    return str(error.value)


def test_round_trip(tmp_path):
    path = tmp_path / 'new' / 'folder' / 'x.json'
    write_json(path, VALUE)
    assert read_json(path) == read_json_object(str(path)) == VALUE
    assert path.read_text().endswith('}\n')


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match='not JSON compliant'):
        write_json(tmp_path / 'x.json', [float('nan')])
    assert not (tmp_path / 'x.json').exists()


@pytest.mark.parametrize('read', [read_json, read_json_object, lambda path: list(iter_json_array(path))])
def test_a_file_that_is_no_text(write, tmp_path, read):
    path = write(b'{"a": "\xff"}')
    assert told(lambda: read(path)).startswith(f'{path}: not UTF-8 text')
    with pytest.raises(FileNotFoundError, match=r'none\.json: no such file'):
        read(tmp_path / 'none.json')


def test_faults_name_file_line_and_column(write):
    path = write('{"a": 1,\n "b": }')
    assert told(lambda: read_json(path)) == f'{path}:2: broken JSON at column 7: Expecting value'
    assert told(lambda: parse_json('{"b": }', 'x.jsonl', 9)) == 'x.jsonl:9: broken JSON at column 7: Expecting value'


@pytest.mark.parametrize('text', ['[1]', '7', 'null', '"{}"'])
def test_an_object_is_an_object(write, text):
    path = write(text)
    assert told(lambda: read_json_object(path)) == f'{path}: {json.loads(text)!r} must be a JSON object'


def test_lines():
    # A line separator inside a string ends no line.
    text = '{"a": "b\u2028c"}\n\n  \n[1]\r\n{"a":\n7'
    (first, second, broken, last) = iter_json_lines(text)
    assert (first, second, last) == ((1, {'a': 'b\u2028c'}), (4, [1]), (6, 7))
    assert broken[0] == 5 and isinstance(broken[1], ValueError)
    assert str(broken[1]) == 'broken JSON at column 6: Expecting value'


@pytest.mark.parametrize('text', ['[]', ' [ ]\n', '[1, {"a": [2]}, "]"]', '\n[1\n,\n[ ] ]  '])
def test_array_is_read_as_json_does(write, text):
    assert list(iter_json_array(write(text))) == json.loads(text)


def test_array_is_read_value_by_value(write):
    values = iter_json_array(write('[1, 2, }'))
    assert (next(values), next(values)) == (1, 2)
    with pytest.raises(ValueError, match='broken JSON in record 2'):
        next(values)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"a": 1}', """1: '{"a": 1}' before record 0, where a JSON array has '['"""),
        ('[1\n2]', "2: '2]' before record 1, where a JSON array has ','"),
        ('[1,\n {"a" 2}]', "2: broken JSON in record 1 at column 7: Expecting ':' delimiter"),
        ('[1,\n2', "2: '' before record 2, where a JSON array has ','"),
        ('[1,]', '1: broken JSON in record 1 at column 4: Expecting value'),
        ('[1]\n\n]', "3: ']' after the end of the JSON array"),
        ('', "1: '' before record 0, where a JSON array has '['"),
    ],
)
def test_faults_of_an_array(write, text, message):
    path = write(text)
    assert told(lambda: list(iter_json_array(path))) == f'{path}:{message}'
