"""The scorer's command line: output, JSON file, exit codes."""

import json
from collections import Counter
from pathlib import Path

import pytest
from project import DGM4_METRICS

from mmvlforge.annotations import RecordFormat, dgm4_class_map
from mmvlforge.annotations.json_files import write_json
from mmvlforge.cli import main
from mmvlforge.evaluation.predictions import write_predictions
from mmvlforge.evaluation.scoring import score, trivial_predictions
from mmvlforge.manifest import MANIFEST, file_fingerprint
from mmvlforge.version import __version__


def record(fake_cls, box=(), words=()):
    return dict(image='x.jpg', text='a b c', fake_cls=fake_cls, fake_image_box=list(box), fake_text_pos=list(words))


RECORDS = [
    record('orig'),
    record('face_swap', [0, 1, 5, 5]),
    record('face_attribute', [2, 1, 5, 5]),
    record('text_swap', words=[0]),
    record('text_attribute', words=[2]),
]


@pytest.fixture
def files(tmp_path):
    annotations, predictions = tmp_path / 'ann.json', tmp_path / 'pred.jsonl'
    annotations.write_text(json.dumps(RECORDS))
    write_predictions(str(predictions), trivial_predictions(RECORDS))
    return str(annotations), str(predictions)


@pytest.mark.parametrize(('protocol', 'iou'), [('dgm4', 80), ('strict', 60)])
def test_json_and_table(files, tmp_path, capsys, protocol, iou):
    out = tmp_path / 'results' / 'out.json'
    assert main(['score', 'manipulation', *files, '--protocol', protocol, '--out', str(out)]) == 0
    found = json.loads(out.read_text())
    manifest = found.pop(MANIFEST)
    assert sorted(found) == sorted(DGM4_METRICS)
    assert found == score(RECORDS, trivial_predictions(RECORDS), protocol)
    assert found['IoUmean'] == iou
    assert manifest['command'] == 'score manipulation' and manifest['protocol'] == protocol
    assert manifest['annotations'] == dict(file=files[0], fingerprint=file_fingerprint(files[0]), records=5)
    assert manifest['predictions'] == dict(file=files[1], fingerprint=file_fingerprint(files[1]))
    assert manifest['versions']['mmvlforge'] == __version__
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'5 rows, protocol {protocol}, in percent'
    assert f'IoUmean        {iou:.2f}' in lines
    assert len(lines) == 2 + len(DGM4_METRICS)
    assert len({len(line) for line in lines[1:]}) == 1  # aligned


def test_breakdown_on_request(files, tmp_path, capsys):
    out = tmp_path / 'out.json'
    assert main(['score', 'manipulation', *files, '--per-class', '--out', str(out)]) == 0
    found = json.loads(out.read_text())
    assert sorted(found) == sorted([*DGM4_METRICS, 'per_class', 'per_manipulation', MANIFEST])
    assert found['per_manipulation']['orig']['F1'] is None
    text = capsys.readouterr().out
    assert 'per_manipulation  samples  detection_rate  IoUmean    F1' in text
    assert 'orig                    1          100.00   100.00     -' in text


def test_records_one_a_line(files, tmp_path, capsys):
    lines = tmp_path / 'lines.json'
    lines.write_text('\n'.join(map(json.dumps, RECORDS)))
    assert main(['score', 'manipulation', *files]) == main(['score', 'manipulation', str(lines), files[1]]) == 0
    out = capsys.readouterr().out
    assert out[: len(out) // 2] == out[len(out) // 2 :]


def test_own_classes(tmp_path, capsys):
    records = [record('genuine'), record('swap', [1, 1, 2, 2])]
    classes = {'genuine': ['real', 'real'], 'swap': ['face', 'real']}
    (tmp_path / 'c.json').write_text(json.dumps(classes))
    (tmp_path / 'a.json').write_text(json.dumps(records))
    write_predictions(str(tmp_path / 'p.jsonl'), trivial_predictions(records, RecordFormat(classes)))
    args = [str(tmp_path / 'a.json'), str(tmp_path / 'p.jsonl')]
    assert main(['score', 'manipulation', *args, '--classes', str(tmp_path / 'c.json')]) == 0
    assert 'warning: no token is manipulated' in capsys.readouterr().err
    assert main(['score', 'manipulation', *args]) == 2
    assert "a.json, record 0: fake_cls: 'genuine' is unknown" in capsys.readouterr().err
    (tmp_path / 'c.json').write_text('{"genuine": "real"}')
    assert main(['score', 'manipulation', *args, '--classes', str(tmp_path / 'c.json')]) == 2
    assert 'must be a JSON object {fake_cls: [image type, text type]}' in capsys.readouterr().err


SAMM = [
    record('orig'),
    record('swap_manipulation', [0, 1, 5, 5], [0]),
    record('attribute_manipulation', [2, 1, 5, 5], [1, 2]),
    record('swap_manipulation', [1, 1, 5, 5], [2]),
]
DGM4_PLUS = [
    record('origin'),
    record('face_swap', [0, 1, 5, 5]),
    record('face_attribute&text_swap', [2, 1, 5, 5], [0]),
    record('text_attribute', words=[2]),
]
SETS = {
    'samm/dca_imq_samm': (
        SAMM,
        {
            'orig': ['real', 'real'],
            'swap_manipulation': ['face_swap', 'text_swap'],
            'attribute_manipulation': ['face_attribute', 'text_attribute'],
        },
        [('face_swap', 2), ('face_attribute', 1), ('text_swap', 2), ('text_attribute', 1)],
    ),
    'dgm4_plus/dca_imq_dgm4_plus': (
        DGM4_PLUS,
        {'origin' if name == 'orig' else name: list(pair) for name, pair in dgm4_class_map().items()},
        [('face_swap', 1), ('face_attribute', 1), ('text_swap', 1), ('text_attribute', 1)],
    ),
}


def perfect(records, classes):
    """A prediction file's rows without a fault."""
    types = ('face_swap', 'face_attribute', 'text_swap', 'text_attribute')
    return [
        dict(
            index=i,
            fake_score=float(row['fake_cls'] not in ('orig', 'origin')),
            type_scores={name: 1 if name in classes[row['fake_cls']] else -1 for name in types},
            box=row['fake_image_box'] or None,
            word_ids=[0, 1, 2],
            fake_tokens=[int(word in row['fake_text_pos']) for word in range(3)],
        )
        for i, row in enumerate(records)
    ]


@pytest.mark.parametrize('source', ['--config', '--classes'])
@pytest.mark.parametrize('name', SETS)
def test_other_sets_are_scored_with_their_tables(tmp_path, capsys, name, source):
    records, classes, rows_of = SETS[name]
    annotations, predictions, out = (str(tmp_path / part) for part in ('a.json', 'p.jsonl', 'out.json'))
    write_json(annotations, records)
    write_json(tmp_path / 'c.json', classes)
    write_predictions(predictions, perfect(records, classes))
    given = name if source == '--config' else str(tmp_path / 'c.json')
    args = [annotations, predictions, source, given, '--per-class', '--trivial', '--out', out]
    assert main(['score', 'manipulation', *args]) == 0
    found = json.loads(Path(out).read_text())
    assert [found[metric] for metric in DGM4_METRICS] == [0 if metric == 'EER' else 100 for metric in DGM4_METRICS]
    assert [(kind, row['samples']) for kind, row in found['per_class'].items()] == rows_of
    assert all(row['AP'] == row['F1'] == 100 for row in found['per_class'].values())
    assert {cls: row['samples'] for cls, row in found['per_manipulation'].items()} == Counter(
        row['fake_cls'] for row in records
    )
    real = records[0]['fake_cls']
    rates = {cls: row['detection_rate'] for cls, row in found['per_manipulation'].items()}
    assert rates == {cls: 0 if cls == real else 100 for cls in rates}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '4 rows, protocol dgm4, in percent'
    assert lines[1].split() == ['metric', 'value', 'trivial'] and lines[2].split() == ['AUC', '100.00', '50.00']
    assert any(line.split()[:2] == ['per_class', 'samples'] for line in lines)
    assert any(line.split()[:3] == [real, '1', '0.00'] for line in lines)


def test_other_sets_are_not_taken_for_dgm4(tmp_path, capsys):
    records, classes, _ = SETS['samm/dca_imq_samm']
    write_json(tmp_path / 'a.json', records)
    write_predictions(tmp_path / 'p.jsonl', perfect(records, classes))
    args = ['score', 'manipulation', str(tmp_path / 'a.json'), str(tmp_path / 'p.jsonl')]
    assert main(args) == 2
    assert "record 1: fake_cls: 'swap_manipulation' is unknown" in capsys.readouterr().err
    assert main([*args, '--config', 'samm/no_such_config']) == 2
    assert 'samm/no_such_config' in capsys.readouterr().err
    assert main([*args, '--config', 'vilem/vilem_coco_zeroshot']) == 2
    assert 'test_dataloader has no record format' in capsys.readouterr().err
    assert main([*args, '--config', 'samm/dca_imq_samm', '--classes', str(tmp_path / 'c.json')]) == 2
    assert 'not both' in capsys.readouterr().err


def test_types_that_the_classes_fold_away_are_scored_as_the_data_set_numbers_them(tmp_path, capsys):
    """The captions of DGM4 alone: faces count as real, yet models give four type scores."""
    records = [{k: v for k, v in row.items() if k != 'fake_image_box'} for row in RECORDS]
    for row in records:
        row['fake_text_pos'] = row['fake_text_pos'] if 'text' in row['fake_cls'] else []
    write_json(tmp_path / 'a.json', records)
    rows = trivial_predictions(records)
    write_predictions(tmp_path / 'p.jsonl', rows)
    out = tmp_path / 'out.json'
    args = [str(tmp_path / 'a.json'), str(tmp_path / 'p.jsonl'), '--config', 'dgm4/text_only', '--out', str(out)]
    assert main(['score', 'manipulation', *args, '--per-class']) == 0
    assert 'warning: no row has manipulation type [0, 1]' in capsys.readouterr().err
    found = json.loads(out.read_text())['per_class']
    assert {kind: row['samples'] for kind, row in found.items()} == dict(
        face_swap=0, face_attribute=0, text_swap=1, text_attribute=1
    )


def test_strict_says_what_it_cannot_cut(files, capsys):
    rows = trivial_predictions(RECORDS)
    rows[1]['box'] = rows[2]['box'] = [-1, 1, 5, 5]
    rows[1]['size'] = [20, 10]
    write_predictions(files[1], rows)
    for protocol in ('dgm4', 'strict'):
        assert main(['score', 'manipulation', *files, '--protocol', protocol]) == 0
        noted = 'note: 1 predicted boxes come without "size" and are not cut' in capsys.readouterr().out
        assert noted == (protocol == 'strict')


def test_a_map_in_another_order_needs_names(tmp_path, capsys):
    """The config that numbers the types reads an old file's lists; a map of classes must not guess."""
    records, classes, _ = SETS['samm/dca_imq_samm']
    classes = dict(reversed(classes.items()))
    named = perfect(records, classes)
    listed = [dict(row, type_scores=list(row['type_scores'].values())) for row in named]
    write_json(tmp_path / 'a.json', records)
    write_json(tmp_path / 'c.json', classes)
    out = tmp_path / 'out.json'
    sources = {'--classes': str(tmp_path / 'c.json'), '--config': 'samm/dca_imq_samm'}
    for rows, source, code in (
        (named, '--classes', 0),
        (named, '--config', 0),
        (listed, '--config', 0),
        (listed, '--classes', 2),
    ):
        write_predictions(tmp_path / 'p.jsonl', rows)
        args = [str(tmp_path / 'a.json'), str(tmp_path / 'p.jsonl'), source, sources[source], '--out', str(out)]
        assert main(['score', 'manipulation', *args]) == code
        if code == 0:
            found = json.loads(out.read_text())
            assert (found['mAP'], found['CF1'], found['OF1']) == (100, 100, 100)
    assert 'p.jsonl:1: type_scores: is a list, and a class map does not say' in capsys.readouterr().err


def test_a_model_without_a_box_head_is_not_taken_for_one_that_finds_no_box(files, tmp_path, capsys):
    rows = trivial_predictions(RECORDS)
    write_predictions(files[1], [{k: v for k, v in row.items() if k != 'box'} for row in rows])
    out = tmp_path / 'out.json'
    assert main(['score', 'manipulation', *files, '--per-class', '--trivial', '--out', str(out)]) == 0
    assert not [name for name in json.loads(out.read_text()) if name.startswith('IoU')]
    told = capsys.readouterr().out
    assert 'note: the predictions have no box: IoUmean, IoU50, IoU75, IoUmean_boxed are left out' in told
    assert not [line for line in told.splitlines() if line.startswith('IoU')]
    del rows[2]['box']
    write_predictions(files[1], rows)
    assert main(['score', 'manipulation', *files]) == 2
    assert 'pred.jsonl:3: box: is missing (write null for "no box")' in capsys.readouterr().err


def test_beside_metrics_of_each_rule_the_trivial_predictor_has_no_box_by_any(files, capsys):
    write_predictions(files[1], trivial_predictions(RECORDS, no_box_rules=['coord', 'type']))
    assert main(['score', 'manipulation', *files, '--trivial']) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name in ('IoUmean', 'IoUmean/coord_rule', 'IoUmean/type_rule'):
        assert [name, '80.00', '80.00'] in lines


def test_missing_annotations_say_where_data_go(files, capsys):
    assert main(['score', 'manipulation', 'no_such_file.json', files[1]]) == 2
    assert 'no_such_file.json: no such annotation file; docs/data.md says where' in capsys.readouterr().err


def test_words_without_tokens_are_noted(files, capsys):
    rows = trivial_predictions(RECORDS)
    rows[4].update(word_ids=[0], fake_tokens=[0])
    write_predictions(files[1], rows)
    assert main(['score', 'manipulation', *files]) == 0
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
def test_faults_exit_with_2_and_name_file_line_and_field(files, tmp_path, capsys, damage, message):
    path = Path(files[1])
    lines = path.read_text().splitlines()
    damage(lines)
    path.write_text('\n'.join(lines))
    out = tmp_path / 'out.json'
    assert main(['score', 'manipulation', *files, '--out', str(out)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith('error: ')
    assert captured.out == ''
    assert not out.exists()


def test_missing_file_exits_with_2(files, capsys):
    assert main(['score', 'manipulation', files[0], 'no_such_file.jsonl']) == 2
    assert 'no_such_file.jsonl' in capsys.readouterr().err
