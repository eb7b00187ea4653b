"""The scorer's command line: output, JSON file, exit codes."""

import importlib.util
import json
from pathlib import Path

import pytest
from project import DGM4_METRICS

from mmvlforge.evaluation.predictions import score, trivial_predictions, write_predictions

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis' / 'score_dgm4.py'


def record(fake_cls, box=(), words=()):
    return dict(image='x.jpg', text='a b c', fake_cls=fake_cls, fake_image_box=list(box), fake_text_pos=list(words))


RECORDS = [
    record('orig'),
    record('face_swap', [0, 1, 5, 5]),
    record('face_attribute', [2, 1, 5, 5]),
    record('text_swap', words=[0]),
    record('text_attribute', words=[2]),
]


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('score_dgm4', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def files(tmp_path):
    annotations, predictions = tmp_path / 'ann.json', tmp_path / 'pred.jsonl'
    annotations.write_text(json.dumps(RECORDS))
    write_predictions(str(predictions), trivial_predictions(RECORDS))
    return str(annotations), str(predictions)


@pytest.mark.parametrize(('protocol', 'iou'), [('dgm4', 80), ('strict', 60)])
def test_json_and_table(tool, files, tmp_path, capsys, protocol, iou):
    out = tmp_path / 'results' / 'out.json'
    assert tool.main([*files, '--protocol', protocol, '--out', str(out)]) == 0
    found = json.loads(out.read_text())
    assert sorted(found) == sorted(DGM4_METRICS)
    assert found == score(RECORDS, trivial_predictions(RECORDS), protocol)
    assert found['IoUmean'] == iou
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'5 rows, protocol {protocol}, in percent'
    assert f'IoUmean        {iou:.2f}' in lines
    assert len(lines) == 2 + len(DGM4_METRICS)
    assert len({len(line) for line in lines[1:]}) == 1  # aligned


def test_breakdown_on_request(tool, files, tmp_path, capsys):
    out = tmp_path / 'out.json'
    assert tool.main([*files, '--per-class', '--out', str(out)]) == 0
    found = json.loads(out.read_text())
    assert sorted(found) == sorted([*DGM4_METRICS, 'per_class', 'per_manipulation'])
    assert found['per_manipulation']['orig']['F1'] is None
    text = capsys.readouterr().out
    assert 'per_manipulation  samples  detection_rate  IoUmean    F1' in text
    assert 'orig                    1          100.00   100.00     -' in text


def test_records_one_a_line(tool, files, tmp_path, capsys):
    lines = tmp_path / 'lines.json'
    lines.write_text('\n'.join(map(json.dumps, RECORDS)))
    assert tool.main([*files]) == tool.main([str(lines), files[1]]) == 0
    out = capsys.readouterr().out
    assert out[: len(out) // 2] == out[len(out) // 2 :]


def test_own_classes(tool, tmp_path, capsys):
    records = [record('genuine'), record('swap', [1, 1, 2, 2])]
    classes = {'genuine': ['real', 'real'], 'swap': ['face', 'real']}
    (tmp_path / 'c.json').write_text(json.dumps(classes))
    (tmp_path / 'a.json').write_text(json.dumps(records))
    write_predictions(str(tmp_path / 'p.jsonl'), trivial_predictions(records, classes))
    args = [str(tmp_path / 'a.json'), str(tmp_path / 'p.jsonl')]
    assert tool.main([*args, '--classes', str(tmp_path / 'c.json')]) == 0
    assert 'warning: no token is manipulated' in capsys.readouterr().err
    assert tool.main(args) == 2
    assert "a.json, record 0: fake_cls: 'genuine' is unknown" in capsys.readouterr().err
    (tmp_path / 'c.json').write_text('{"genuine": "real"}')
    assert tool.main([*args, '--classes', str(tmp_path / 'c.json')]) == 2
    assert 'must be a JSON object {fake_cls: [image type, text type]}' in capsys.readouterr().err


def test_words_without_tokens_are_noted(tool, files, capsys):
    rows = trivial_predictions(RECORDS)
    rows[4].update(word_ids=[0], fake_tokens=[0])
    write_predictions(files[1], rows)
    assert tool.main([*files]) == 0
    assert 'note: 2 of 15 words have no token' in capsys.readouterr().out


def edit(number, change):
    def apply(lines):
        lines[number - 1] = json.dumps({**json.loads(lines[number - 1]), **change})

    return apply


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (edit(2, {'fake_score': float('nan')}), 'pred.jsonl:2: fake_score: is nan'),
        (edit(3, {'type_scores': [0]}), 'pred.jsonl:3: type_scores: is [0]'),
        (edit(3, {'index': 5}), 'pred.jsonl:3: index: 5 is no row of'),
        (edit(3, {'index': 0}), 'pred.jsonl:3: index: row 0 is predicted already, in line 1'),
        (lambda lines: lines.pop(1), 'pred.jsonl: index: 1 of 5 rows have no prediction: 1'),
        (lambda lines: lines.__setitem__(1, '{"index": 1'), 'pred.jsonl:2: broken JSON'),
        (list.clear, 'pred.jsonl: empty'),
    ],
)
def test_faults_exit_with_2_and_name_file_line_and_field(tool, files, tmp_path, capsys, damage, message):
    path = Path(files[1])
    lines = path.read_text().splitlines()
    damage(lines)
    path.write_text('\n'.join(lines))
    out = tmp_path / 'out.json'
    assert tool.main([*files, '--out', str(out)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith('error: ')
    assert captured.out == ''
    assert not out.exists()


def test_missing_file_exits_with_2(tool, files, capsys):
    assert tool.main([files[0], 'no_such_file.jsonl']) == 2
    assert 'no_such_file.jsonl' in capsys.readouterr().err
