import base64
import importlib.util
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis' / 'make_report.py'
CLASSES = ['orig', 'face_swap', 'text_swap', 'face_attribute&text_attribute']


spec = importlib.util.spec_from_file_location('make_report', TOOL)
make_report = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_report)


def call(*args):
    try:
        return make_report.main([str(arg) for arg in args])
    except SystemExit as stop:  # argparse
        return stop.code


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp('report')
    records, rows = [], []
    for i in range(8):
        name = CLASSES[i % 4]
        image = f'DGM4/origin/{i}.jpg'
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (60, 40), (30 * i, 90, 120)).save(root / image)
        records.append(
            dict(
                id=1, image=image, text='Blair <b>s</b> & Zoë', fake_cls=name,
                fake_image_box=[5, 5, 25, 25] if 'face' in name else [], fake_text_pos=[1] if 'text' in name else [],
            )
        )  # fmt: skip
        rows.append(
            dict(
                index=i, fake_score=0.25 if i in (0, 5) else 0.75, type_scores=[1.0, -1.0, -1.0, -1.0],
                box=[5, 5, 25, 25] if i % 2 else None, word_ids=[0, 1, 1, 2, 3], fake_tokens=[0, 1, 0, 0, 0],
            )
        )  # fmt: skip
    (root / 'ann.json').write_text(json.dumps(records))
    (root / 'pred.jsonl').write_text('\n'.join(map(json.dumps, reversed(rows))))
    (root / 'metrics.json').write_text(json.dumps(dict(AUC=91.23, EER=12.34, F1=None, per_class={})))
    (root / 'trivial.json').write_text(json.dumps(dict(AUC=50.0, EER=10.0)))
    return root


def test_report(files):
    out = files / 'new' / 'report.html'
    code = call(
        files / 'ann.json', files / 'pred.jsonl', '--image-root', files, '--out', out, '--num', 6,
        '--metrics', files / 'metrics.json', '--trivial', files / 'trivial.json', '--title', 'My <run>',
    )  # fmt: skip
    assert code == 0
    page = out.read_text(encoding='utf-8')
    assert 'My &lt;run&gt;' in page and '<b>s</b>' not in page
    # better than the trivial predictor is green, worse is not; EER is better when lower
    assert re.search(r'<b>AUC</b>.*?<td class="n good">91\.23</td><td class=n>50\.00</td>', page)
    assert re.search(r'<b>EER</b>.*?<td class="n bad">12\.34</td><td class=n>10\.00</td>', page)
    assert re.search(r'<b>F1</b>.*?<td class="n">–</td>', page)
    for name in ('ACC', 'mAP', 'CF1', 'OF1', 'IoUmean', 'IoU50', 'IoU75', 'Precision', 'Recall', 'IoUmean_boxed'):
        assert f'<b>{name}</b>' in page
    # rows 0 and 4 are real, row 5 is the one fake called real
    assert 'truly real</td><td class="n good">1</td><td class="n bad">1</td>' in page
    assert 'truly fake</td><td class="n bad">1</td><td class="n good">5</td>' in page
    assert re.search(r'face attribute \+ text attribute<span.*?</td><td class=n>2</td><td class=n>100\.0 %', page)
    # face_swap is called everywhere: found 2 of 2, with 6 false alarms
    assert re.search(r'face swap</td><td class=n>2</td><td class="n good">2</td>.*?<td class="n bad">6</td></tr>', page)
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == 6
    for data in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(data))).size[0] >= 560
    assert 'http' not in re.sub(r'base64,[^"]+', '', page), 'nothing from outside'
    assert '<script' not in page and '<link' not in page


def test_metrics_are_computed_and_pictures_can_be_left_out(files):
    assert call(files / 'ann.json', files / 'pred.jsonl', '--out', files / 'plain.html', '--num', 1) == 0
    page = (files / 'plain.html').read_text(encoding='utf-8')
    assert re.search(r'<b>ACC</b>.*?<td class="n">75\.00</td><td class=n>75\.00</td>', page)
    assert page.count('<figure>') == 1


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(annotations='nowhere.json'), 'nowhere.json'),
        (dict(predictions='nowhere.jsonl'), 'nowhere.jsonl'),
        (dict(predictions='short.jsonl'), '7 of 8 rows have no prediction'),
        (dict(metrics='nan.json'), 'AUC is nan, must be a finite number or null'),
        (dict(metrics='list.json'), 'must be a JSON object'),
        (dict(image_root='nowhere'), 'nowhere'),
        (dict(num='-1'), '--num must not be negative'),
    ],
)
def test_wrong_arguments(files, tmp_path, capsys, change, message):
    (files / 'short.jsonl').write_text((files / 'pred.jsonl').read_text().split('\n')[0])
    (files / 'nan.json').write_text('{"AUC": NaN}')
    (files / 'list.json').write_text('[1]')
    args = [files / change.get('annotations', 'ann.json'), files / change.get('predictions', 'pred.jsonl')]
    args += ['--out', tmp_path / 'r.html', '--num', change.get('num', '2')]
    args += ['--image-root', files / change.get('image_root', '.')]
    if 'metrics' in change:
        args += ['--metrics', files / change['metrics']]
    assert call(*args) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'r.html').exists()
