"""Conditions on columns: what holds, the text for Milvus, and what is refused."""

import pytest

from mmvlforge.apis.index_filter import parse_condition

ROWS = [dict(year=2019, source='ap', ok=True), dict(year=2021.5, source="d'pa"), dict(source=7), {}]


@pytest.mark.parametrize(
    ('text', 'holds', 'milvus'),
    [
        ('year >= 2020', [1], 'fields["year"] >= 2020'),
        ('2020 > year', [0], 'fields["year"] < 2020'),
        ('year != 2019', [1], 'fields["year"] != 2019'),
        ("source == 'ap'", [0], 'fields["source"] == "ap"'),
        ('source == "d\'pa"', [1], 'fields["source"] == "d\'pa"'),
        ('source == 7', [2], 'fields["source"] == 7'),
        ('ok == True', [0], 'fields["ok"] == true'),
        ("source in ['ap', 7]", [0, 2], '(fields["source"] == "ap") or (fields["source"] == 7)'),
        ("source not in ['ap']", [1], '(fields["source"] != "ap")'),
        ('2019 <= year < 2021', [0], '(fields["year"] >= 2019) and (fields["year"] < 2021)'),
        ("not (year < 2020 or source == 'x')", [1], '(fields["year"] >= 2020) and (fields["source"] != "x")'),
        ('not (year > 2020 and ok == True)', [0], '(fields["year"] <= 2020) or (fields["ok"] != true)'),
        ("fields['year'] == 2019", [0], 'fields["year"] == 2019'),
        ('year > -1', [0, 1], 'fields["year"] > -1'),
    ],
)
def test_what_holds(text, holds, milvus):
    """What is missing, or of another kind, fulfils neither a comparison nor its opposite."""
    condition = parse_condition(text)
    assert [row for row, fields in enumerate(ROWS) if condition.holds(fields)] == holds
    assert condition.milvus == milvus


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('', 'is no expression'),
        ('year >', 'is no expression'),
        ('year', "'year' compares nothing"),
        ('1 == 2', "'2' is no column"),
        ('year == other', "'other' must be a text, a number, True or False"),
        ('year is 3', 'is no comparison known here'),
        ('year in 3', "'3' must be a list of values"),
        ('year in []', "'[]' must be a list of values"),
        ('ok > True', '> True has no meaning'),
        ("__import__('os').system('x') == 1", 'is no column'),
        ('year == None', "'None' must be a text"),
        ('(' * 5000, 'is no expression'),
    ],
)
def test_what_is_refused(text, told):
    with pytest.raises(ValueError, match='filter ') as error:
        parse_condition(text)
    assert told in str(error.value) and 'such as year >= 2020' in str(error.value)
