"""Filters by columns: what passes, the same in each store, and what is refused."""

import random

import numpy as np
import pytest

from mmvlforge.apis.index_filter import parse_filter, split_columns
from mmvlforge.apis.index_stores import Entry, open_store

ROWS = [dict(year=2019, agency='ap', ok=True), dict(year='2021.5', agency="d'pa"), dict(agency=7), {'a b': '007'}]


@pytest.mark.parametrize(
    ('text', 'passes', 'milvus'),
    [
        ('year >= 2020', [1], '(numbers["year"] >= 2020)'),
        ('2020 > year', [0], '(numbers["year"] < 2020)'),
        ('-1 < year', [0, 1], '(numbers["year"] > -1)'),
        ('year != 2019', [1], '(exists numbers["year"] and numbers["year"] != 2019)'),
        ("agency == 'ap'", [0], '(texts["agency"] == "ap")'),
        ('agency == "d\'pa"', [1], '(texts["agency"] == "d\'pa")'),
        ('agency == 7', [2], '(numbers["agency"] == 7)'),
        ("agency == '7'", [2], '(texts["agency"] == "7")'),
        ("year == '2021.5'", [1], '(texts["year"] == "2021.5")'),
        ('ok == True', [0], '(texts["ok"] == "true")'),
        ("agency in ['ap', 7]", [0, 2], '((texts["agency"] == "ap") or (numbers["agency"] == 7))'),
        ("'p' in agency", [0, 1], '(texts["agency"] like "%p%")'),
        ("'p' not in agency", [2], '(exists texts["agency"] and not (texts["agency"] like "%p%"))'),
        ('2019 <= year < 2021', [0], '((numbers["year"] >= 2019) and (numbers["year"] < 2021))'),
        ("not (year < 2020 or agency == 'x')", [1], None),
        ('not (year > 2020 and ok == True)', [0], None),
        ("column('a b') == '007' and column('a b') == 7", [3], None),
    ],
)
def test_what_passes(text, passes, milvus):
    """What is missing, or no number where one is asked for, passes neither a comparison nor its opposite."""
    found = parse_filter(text)
    assert [number for number, row in enumerate(ROWS) if found.matches(split_columns(row))] == passes
    assert milvus in (found.milvus(), None)


def test_each_store_finds_the_same(tmp_path):
    """300 filters made at random, over values and names that are hard to quote or to tell apart."""
    pytest.importorskip('milvus_lite')
    draw = random.Random(0)
    values = [
        0,
        -1,
        2020,
        2020.0,
        2020.5,
        2**52,
        True,
        False,
        'ap',
        'AP',
        '2020',
        'true',
        "d'pa",
        'q"t',
        'b\\s',
        'n\nl',
    ]
    values += ['中文', 'a%b', '_', '007', '1e3', '-0.0', 'nan', 2**60]
    names = ['year', 'src', 'x y', "q'u", 'a"b', 'a.b', 'ключ', 'a\\b', 'n\nl']
    rows = [{name: draw.choice(values) for name in names if draw.random() < 0.7} for _ in range(60)]
    stores = [open_store(str(tmp_path / name)) for name in ('exact', 'lite.db')]
    vectors = np.tile(np.eye(1, 4, dtype=np.float32), (60, 1))
    for store in stores:
        store.create(dict(dims=4), 4)
        store.put([Entry(f'{i:064d}', [f'/{i}'], [], row) for i, row in enumerate(rows)], vectors)

    def test() -> str:
        name = draw.choice(names)
        column = name if name.isidentifier() and draw.random() < 0.5 else f'column({name!r})'
        some = [repr(draw.choice(values[:-1])) for _ in range(2)]
        sign = draw.choice(['==', '!=', '<', '<=', '>', '>='])
        several = f'{column} {draw.choice(["in", "not in"])} [{", ".join(some)}]'
        part = f'{draw.choice(["a", "20", "文", "n"])!r} {draw.choice(["in", "not in"])} {column}'
        return draw.choice([f'{column} {sign} {some[0]}', f'{some[0]} {sign} {column}', several, part])

    sizes = set()
    for _ in range(300):
        text = f'{test()} {draw.choice(["and", "or"])} not ({test()} {draw.choice(["and", "or"])} {test()})'
        condition = parse_filter(text)
        exact, lite = ({hit.entry.id for hit in store.search(vectors[:1], 60, condition)[0]} for store in stores)
        assert exact == lite, text
        sizes.add(len(exact))
    assert len(sizes) > 20


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('', 'invalid syntax'),
        ('year >', 'invalid syntax'),
        ('year = 2020', 'equality is =='),
        ('year', 'year is no comparison, such as year >= 2020'),
        ('1 == 2', '2 is no column'),
        ('year == other', 'other is neither a number nor a text in quotes'),
        ('year is 3', "'is' compares nothing here"),
        ('year in 3', 'year is neither a number nor a text in quotes'),
        ('year in []', '[] is empty'),
        ("'' in year", 'must be a text in quotes'),
        ("'a%' in year", 'without % _'),
        ("__import__('os').system('x') == 1", 'is no column; write its name, or column("...")'),
        ('year == None', 'None is neither'),
        ('year == 9007199254740993', 'is too large a number'),
        ("year == '\ud800'", 'half of a surrogate pair'),
        ('(' * 1000, ''),
        ('x' * 3000, 'has 3000 letters, at most 2000 are read'),
    ],
)
def test_what_is_refused(text, told):
    with pytest.raises(ValueError, match='filter') as error:
        parse_filter(text)
    assert told in str(error.value) and len(str(error.value)) < 400
