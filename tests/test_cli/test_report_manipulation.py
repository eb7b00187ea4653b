import base64
import io
import json
import re

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from project import ROOT

from mmvlforge.apis.calibration import LearntCalibration, write_calibration
from mmvlforge.cli import main
from mmvlforge.evaluation.calibration import fit_calibration

DGM4 = ['orig', 'face_swap', 'text_swap', 'face_attribute&text_attribute']


def call(*args):
    return main(['report', 'manipulation', *(str(arg) for arg in args)])


def write_run(root, classes, box_field='fake_image_box', word_field='fake_text_pos'):
    """Eight records of four classes by turns, their pictures, and a run that always says face swap."""
    records, rows = [], []
    for i in range(8):
        name = classes[i % 4]
        image = f'DGM4/origin/{i}.jpg'
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (60, 40), (30 * i, 90, 120)).save(root / image)
        record = dict(id=1, image=image, text='Blair <b>s</b> & Zoë', fake_cls=name)
        if box_field:
            record[box_field] = [5, 5, 25, 25] if i % 4 in (1, 3) else []
        if word_field:
            record[word_field] = [1] if i % 4 in (2, 3) else []
        records.append(record)
        rows.append(
            dict(
                index=i, fake_score=0.25 if i in (0, 5) else 0.75,
                type_scores=dict(face_swap=1.0, face_attribute=-1.0, text_swap=-1.0, text_attribute=-1.0),
                box=[5, 5, 25, 25] if i % 2 else None, word_ids=[0, 1, 1, 2, 3], fake_tokens=[0, 1, 0, 0, 0],
            )
        )  # fmt: skip
    (root / 'ann.json').write_text(json.dumps(records))
    (root / 'pred.jsonl').write_text('\n'.join(map(json.dumps, reversed(rows))))
    return root


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    root = write_run(tmp_path_factory.mktemp('report'), DGM4)
    (root / 'metrics.json').write_text(json.dumps(dict(AUC=91.23, EER=12.34, F1=None, per_class={})))
    (root / 'trivial.json').write_text(json.dumps(dict(AUC=50.0, EER=10.0)))
    return root


def cells(page, name):
    """What stands in a table's row: the classes and texts of its cells after the first."""
    row = re.search(rf'<tr><td>{re.escape(name)}\b.*?</tr>', page, re.S)
    return re.findall(r'<td class="?([^">]*)"?>(.*?)</td>', row[0]) if row else None


def test_what_a_score_is_worth(files):
    """Of pairs with 0.25 one of two is fake, of those with 0.75 five of six: |0.5 - 1| + |4.5 - 5| over 8 pairs."""
    call(files / 'ann.json', files / 'pred.jsonl', '--out', files / 'raw.html')
    page = (files / 'raw.html').read_text()
    assert 'the model carries no calibration' in page and 'Calibrated scores' not in page
    assert '0.2 to 0.3: 1 of 2 are fake' in page and '0.7 to 0.8: 5 of 6 are fake' in page
    assert re.search(r'<td>Calibration error</td><td class=n>12.5 %', page)

    calibration = fit_calibration(np.linspace(0.02, 0.98, 40), np.arange(40) % 3 > 0, {}, 0.5)
    calibration = calibration._replace(temperature=0.5, threshold=0.95, lower=0.2)  # log 3 becomes 2 log 3: 0.1 and 0.9
    protocol = dict(set='val', pairs=40, fakes=26, left_out=0, false_alarms=0.5, seed=0)
    write_calibration(LearntCalibration(calibration, protocol), 'abc', files / 'calibration.json')
    args = ('--out', files / 'fitted.html', '--calibration', files / 'calibration.json')
    assert call(files / 'ann.json', files / 'pred.jsonl', *args) == 0
    page = (files / 'fitted.html').read_text()
    assert '0.9 to 1.0: 5 of 6 are fake' in page and 'temperature 0.50' in page
    # |0.2 - 1| + |5.4 - 5| over 8
    assert '15.0 %' in page
    # two real pairs, of which none is above 0.95; one of six fakes is below 0.2, and six of eight are between
    names = ('real pairs called fake', 'fakes called real', 'pairs called inconclusive')
    rows = [re.search(rf'<tr><td>{name}</td>.*?</tr>', page, re.S)[0] for name in names]
    assert [re.findall(r'<td class=n>([\d.]+) %', row)[1] for row in rows] == ['0.0', '16.7', '75.0']


def test_report(files, capsys):
    out = files / 'new' / 'report.html'
    code = call(
        files / 'ann.json', files / 'pred.jsonl', '--image-root', files, '--out', out, '--num', 6,
        '--metrics', files / 'metrics.json', '--trivial', files / 'trivial.json', '--title', 'My <run>',
    )  # fmt: skip
    assert code == 0
    assert capsys.readouterr().out == f'{out}: 8 samples\n'
    page = out.read_text(encoding='utf-8')
    assert 'My &lt;run&gt;' in page and '<b>s</b>' not in page
    # better than the trivial predictor is green, worse is not; EER is better when lower
    assert cells(page, '<b>Area under the ROC curve') == [('n good', '91.23'), ('n', '50.00')]
    assert cells(page, '<b>Equal error rate') == [('n bad', '12.34'), ('n', '10.00')]
    assert cells(page, '<b>F1</b') == [('n', '–'), ('n', '–')]
    for name in ('AUC', 'EER', 'ACC', 'mAP', 'CF1', 'OF1', 'IoUmean', 'IoU50', 'IoU75', 'IoUmean_boxed'):
        assert page.count(f'<code>{name}</code>') == 1
    assert page.count('<b>Precision</b>') == page.count('<b>Recall</b>') == 1
    # rows 0 and 4 are real, row 5 is the one fake called real
    assert cells(page, 'truly real') == [('n good', '1'), ('n bad', '1')]
    assert cells(page, 'truly fake') == [('n bad', '1'), ('n good', '5')]
    assert cells(page, 'face attribute + text attribute') == [('n', '2'), ('n', '100.0 %')]
    # face swap is called everywhere: found 2 of 2, with 6 false alarms
    types = page[page.index('<th>Type</th>') :]
    assert cells(types, 'face swap') == [('n', '2'), ('n good', '2'), ('n bad', '0'), ('n bad', '6')]
    assert cells(types, 'text swap') == [('n', '2'), ('n good', '0'), ('n bad', '2'), ('n bad', '0')]
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == 6
    for data in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(data))).size[0] >= 560
    assert page.count('<ul class=legend>') == 3  # of metrics, of verdicts, of pictures
    assert 'http' not in re.sub(r'base64,[^"]+', '', page), 'nothing from outside'
    assert '<script' not in page and '<link' not in page


def test_both_rules_are_shown_where_the_predictions_know_them(files, tmp_path):
    rows = [json.loads(line) for line in (files / 'pred.jsonl').read_text().splitlines()]
    for row in rows:
        row['no_box'] = dict(coord=row['box'] is None, type=True)
    (tmp_path / 'p.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    assert call(files / 'ann.json', tmp_path / 'p.jsonl', '--out', tmp_path / 'r.html', '--num', 1) == 0
    page = (tmp_path / 'r.html').read_text(encoding='utf-8')
    # every second row is boxed, truly and by the model; no box at all is right for the others
    assert cells(page, '<b>Mean overlap, rule coord') == [('n good', '100.00'), ('n', '50.00')]
    assert cells(page, '<b>Mean overlap, rule type') == [('n', '50.00'), ('n', '50.00')]


def test_metrics_are_computed_and_pictures_can_be_left_out(files):
    assert call(files / 'ann.json', files / 'pred.jsonl', '--out', files / 'plain.html', '--num', 1) == 0
    page = (files / 'plain.html').read_text(encoding='utf-8')
    assert cells(page, '<b>Accuracy') == [('n', '75.00'), ('n', '75.00')]
    assert page.count('<figure>') == 1


SAMM = ['orig', 'swap_manipulation', 'orig', 'attribute_manipulation']


def test_samm(tmp_path):
    root = write_run(tmp_path, SAMM)
    out = root / 'r.html'
    config = ROOT / 'configs/samm/dca_imq_samm.py'
    args = (root / 'ann.json', root / 'pred.jsonl', '--image-root', root, '--out', out, '--num', 3)
    assert call(*args, '--config', config) == 0
    page = out.read_text(encoding='utf-8')
    assert '8 pairs of a picture and a caption: 4 real, 4 manipulated' in page
    assert cells(page, 'orig') == [('n', '4'), ('n', '75.0 %')]
    assert cells(page, 'swap manipulation') == [('n', '2'), ('n', '50.0 %')]
    assert cells(page, 'attribute manipulation') == [('n', '2'), ('n', '100.0 %')]
    types = page[page.index('<th>Type</th>') :]
    # both of SAMM's manipulations change picture and caption
    assert cells(types, 'face swap') == [('n', '2'), ('n good', '2'), ('n bad', '0'), ('n bad', '6')]
    assert cells(types, 'text swap') == [('n', '2'), ('n good', '0'), ('n bad', '2'), ('n bad', '0')]
    assert page.count('<figure>') == 3
    assert 'truth: swap manipulation; called' in page
    # a file of classes says the same
    (root / 'classes.json').write_text(
        json.dumps(
            dict(
                orig=['real', 'real'],
                swap_manipulation=['face_swap', 'text_swap'],
                attribute_manipulation=['face_attribute', 'text_attribute'],
            )
        )
    )
    assert call(*args, '--classes', root / 'classes.json') == 0
    assert out.read_text(encoding='utf-8') == page


def test_dgm4_plus(tmp_path, capsys):
    root = write_run(tmp_path, ['origin', *DGM4[1:]])
    args = (root / 'ann.json', root / 'pred.jsonl', '--out', root / 'r.html', '--num', 2)
    assert call(*args, '--config', 'dgm4_plus/dca_imq_dgm4_plus') == 0
    page = (root / 'r.html').read_text(encoding='utf-8')
    assert cells(page, 'origin') == [('n', '2'), ('n', '50.0 %')]
    assert cells(page, 'truly real') == [('n good', '1'), ('n bad', '1')]
    # without the config its real class is unknown
    assert call(*args) == 2
    assert "'origin' is unknown" in capsys.readouterr().err


def test_pictures_are_read_as_the_test_set_of_a_config_reads_them(tmp_path, capsys):
    root = write_run(tmp_path, DGM4)
    exif = Image.Exif()
    exif[274] = 6
    for file in (root / 'DGM4' / 'origin').iterdir():
        Image.new('RGB', (60, 40)).save(file, exif=exif)

    def report(**settings):
        cfg = Config.fromfile(str(ROOT / 'configs' / 'dgm4' / 'dca_imq.py'))
        cfg.merge_from_dict({f'test_dataloader.dataset.pipeline.1.{key}': value for key, value in settings.items()})
        cfg.dump(tmp_path / 'config.py')
        args = ('--image-root', root, '--out', root / 'r.html', '--num', 1, '--config', tmp_path / 'config.py')
        return call(root / 'ann.json', root / 'pred.jsonl', *args)

    heights = []
    for settings in (dict(), dict(orientation='seen', max_pixels=2400)):
        assert report(**settings) == 0
        data = re.search(r'src="data:image/jpeg;base64,([^"]+)"', (root / 'r.html').read_text(encoding='utf-8'))[1]
        heights.append(Image.open(io.BytesIO(base64.b64decode(data))).height)
    # At 560 pixels of width, the picture is 373 high as it is stored, and 840 as it is seen.
    assert heights[1] - heights[0] == 840 - 373
    (root / 'r.html').unlink()
    assert report(max_pixels=2399) == 2
    assert 'it has 60x40 pixels, the limit is max_pixels=2399' in capsys.readouterr().err
    assert not (root / 'r.html').exists()


def test_a_set_without_boxes_and_words_is_not_judged_by_them(tmp_path):
    root = write_run(tmp_path, DGM4, box_field=None, word_field=None)
    args = (root / 'ann.json', root / 'pred.jsonl', '--image-root', root, '--out', root / 'r.html')
    assert call(*args, '--num', 8) == 0
    page = (root / 'r.html').read_text(encoding='utf-8')
    assert 'This set says nothing about places and words' in page
    assert '<b>Accuracy' in page and 'IoU' not in page and '<b>Precision' not in page
    # the one error left is that of the verdict: a fake is called fake at 0.75
    assert 'at most 1.' in page and 'box overlap' not in page
    assert re.search(r'Row \d · text swap · error 0\.25', page)


def test_a_model_without_some_heads_is_judged_by_the_others(files, tmp_path):
    rows = map(json.loads, (files / 'pred.jsonl').read_text().splitlines())
    (tmp_path / 'p.jsonl').write_text(
        '\n'.join(json.dumps(dict(index=row['index'], fake_score=row['fake_score'])) for row in rows)
    )
    assert call(files / 'ann.json', tmp_path / 'p.jsonl', '--image-root', files, '--out', tmp_path / 'r.html') == 0
    page = (tmp_path / 'r.html').read_text(encoding='utf-8')
    assert 'The predictions say nothing about kinds and places and words' in page
    assert cells(page, '<b>Accuracy') == [('n', '75.00'), ('n', '75.00')]
    assert 'IoU' not in page and '<b>Precision' not in page and '<th>Type</th>' not in page
    assert 'at most 1.' in page and page.count('<figure>') == 8


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(annotations='nowhere.json'), 'nowhere.json'),
        (dict(predictions='nowhere.jsonl'), 'nowhere.jsonl'),
        (dict(predictions='short.jsonl'), '7 of 8 rows have no prediction'),
        (dict(metrics='nan.json'), 'AUC is nan, must be a finite number or null'),
        (dict(metrics='list.json'), 'must be a JSON object'),
        (dict(image_root='nowhere'), 'nowhere'),
        (dict(num='-1'), '--num'),
        (dict(classes='list.json', config='dgm4/dca_imq'), 'either --classes or --config'),
        (dict(config='dgm4/dca_im'), 'did you mean dgm4/dca_imq'),
    ],
)
def test_wrong_arguments(files, tmp_path, capsys, change, message):
    (files / 'short.jsonl').write_text((files / 'pred.jsonl').read_text().split('\n')[0])
    (files / 'nan.json').write_text('{"AUC": NaN}')
    (files / 'list.json').write_text('[1]')
    args = [files / change.get('annotations', 'ann.json'), files / change.get('predictions', 'pred.jsonl')]
    args += ['--out', tmp_path / 'r.html', '--num', change.get('num', '2')]
    args += ['--image-root', files / change.get('image_root', '.')]
    for name in ('metrics', 'classes'):
        if name in change:
            args += [f'--{name}', files / change[name]]
    if 'config' in change:
        args += ['--config', change['config']]
    assert call(*args) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'r.html').exists()


def test_metrics_of_other_predictions_are_refused(files, tmp_path, capsys):
    """They would stand beside pictures and counts of these."""
    ann, pred, out = files / 'ann.json', files / 'pred.jsonl', tmp_path / 'r.html'
    assert main(['score', 'manipulation', str(ann), str(pred), '--out', str(tmp_path / 'scores.json')]) == 0
    assert call(ann, pred, '--out', out, '--metrics', tmp_path / 'scores.json') == 0
    out.unlink()
    other = tmp_path / 'other.jsonl'
    other.write_text(pred.read_text().replace('0.75', '0.74'))
    assert call(ann, other, '--out', out, '--metrics', tmp_path / 'scores.json') == 2
    told = f'scores.json: was made from other predictions than those given: from {pred}'
    assert told in capsys.readouterr().err and not out.exists()
