"""The one JSON reader: what it takes, and faults with file, line and column."""

import json

import pytest

from mmvlforge.annotations.json_files import (
    iter_json_array,
    iter_json_lines,
    parse_json,
    read_json,
    read_json_object,
    read_text,
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


@pytest.mark.parametrize('read', [read_json, read_json_object, read_text])
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
def test_array_is_read_as_json_does(text):
    assert list(iter_json_array(text, 'x')) == json.loads(text)


def test_array_is_read_value_by_value():
    values = iter_json_array('[1, 2, }', 'x')
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
def test_faults_of_an_array(text, message):
    assert told(lambda: list(iter_json_array(text, 'x.json'))) == f'x.json:{message}'


DEEP = '[' * 101 + ']' * 101
LONG = '9' * 5000
TWICE = '{"a": "{\\"b", "b": {"c": 1, "\\u0063": 2}}'


@pytest.mark.parametrize(
    ('value', 'column', 'what'),
    [
        (TWICE, 29, "the key 'c' stands twice in one object"),
        (DEEP, 101, 'nested more than 100 levels deep'),
        ('{"a":' * 5000, 5 * 100 + 1, 'nested more than 100 levels deep'),
        (f'[1, {LONG}]', 5, 'an integer of 5000 digits'),
        (f'-{LONG}', 2, 'an integer of 5000 digits'),
    ],
)
def test_what_grammar_allows_and_nobody_can_use(value, column, what):
    """Silently the last key, a RecursionError, a ValueError without a place: all faults like others."""
    assert told(lambda: parse_json(f'\n{value}', 'x')) == f'x:2: broken JSON at column {column}: {what}'
    ((line, fault),) = iter_json_lines(f'\n{value}')
    assert (line, str(fault)) == (2, f'broken JSON at column {column}: {what}')


def test_an_array_goes_on_behind_a_value_whose_end_is_known():
    text = f'[1,\n {TWICE}, {DEEP}, 2]'
    first, twice, deep, last = iter_json_array(text, 'x')
    assert (first, last) == (1, 2)
    assert str(twice) == "x:2: broken JSON in record 1 at column 30: the key 'c' stands twice in one object"
    assert str(deep).startswith('x:2: broken JSON in record 2 at column ') and str(deep).endswith('100 levels deep')
    assert told(lambda: list(iter_json_array(f'[1, {LONG}, 2]', 'x'))).startswith('x:1: broken JSON in record 1 at col')


def test_nesting_that_is_none():
    """A hundred levels are allowed, and any number of brackets beside each other or in strings."""
    for text in (DEEP[1:-1], json.dumps([[]] * 1000), json.dumps({'a': '[{' * 1000})):
        assert parse_json(text, 'x') == json.loads(text)
