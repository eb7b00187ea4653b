import json

import pytest

from mmvlforge.reports.manipulation import METRICS, read_metrics, select_samples


def test_select_samples():
    classes = ['a', 'a', 'a', 'a', 'a', 'b', 'b', 'b']
    errors = [0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 2.0, 1.0]
    # middle of a: 0.5 (row 0), of b: 1.0 (row 7); the two worst left are rows 6 and 2; best by turns rows 1 and 5
    assert select_samples(classes, errors, 6) == dict(typical=[0, 7], worst=[6, 2], best=[1, 5])
    assert select_samples(classes, errors, 1) == dict(typical=[0], worst=[], best=[])
    assert select_samples(classes, errors, 0) == dict(typical=[], worst=[], best=[])
    assert sorted(sum(select_samples(classes, errors, 99).values(), [])) == list(range(8))


def test_read_metrics(tmp_path):
    path = tmp_path / 'metrics.json'
    path.write_text(json.dumps(dict(EER=1, AUC=None, per_class={})))
    assert read_metrics(path) == dict(AUC=None, EER=1)
    for content, message in (
        ('{"AUC": NaN}', 'AUC is nan, must be a finite number or null'),
        ('{"AUC": true}', 'AUC is True'),
        ('[1]', 'must be a JSON object'),
        ('{"x": 1}', f'must be a JSON object with at least one of {", ".join(METRICS)}'),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_metrics(path)
