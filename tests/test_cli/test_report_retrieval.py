"""Pictures of a retrieval model's work, and its report, on six one-coloured pictures."""

import json
import re

import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny_vilem import WORDS

from mmvlforge.apis.pictures import draw_gallery, draw_overview, draw_proofread, read_caption, spread
from mmvlforge.apis.retrieval import TrainedRetriever
from mmvlforge.cli import main
from mmvlforge.datasets.nested_datasets import picture_loader
from mmvlforge.evaluation import ProofreadingMetric
from mmvlforge.manifest import MANIFEST, described_file


@pytest.fixture
def trained(retriever):
    return TrainedRetriever(str(retriever / 'tiny.py'), str(retriever / 'tiny.pth'), {})


def call(name, folder, *args):
    """``mmvlforge report NAME`` for the tiny model; returns the exit code."""
    return main(['report', name, *(str(arg) for arg in (folder / 'tiny.py', folder / 'tiny.pth', *args))])


def test_spread():
    assert spread(3, 9) == [0, 4, 8]
    assert spread(9, 3) == [0, 1, 2]
    assert spread(1, 5) == [0]


def test_proofread_test_samples(retriever, trained, tmp_path, capsys):
    assert call('proofreading', retriever, '--out', tmp_path, '--num', 2) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ['000000_0.png', '000005_5.png', 'index.html']
    assert Image.open(tmp_path / '000000_0.png').width == 480 + 24
    page = (tmp_path / 'index.html').read_text()
    assert page.count('<figure>') == 2 and re.search(r'\d edited, \d found, \d put right', page)
    assert page.count('<ul class=legend>') == 1
    # The words drawn are those that the metric scores.
    inputs, samples = trained.prepare([trained.dataset[5]])
    edited = trained.model.edit_groups(inputs, samples, 0)
    row = int((edited != inputs.input_ids).any(dim=1).int().argmax())
    words = trained.tokens(inputs._replace(input_ids=edited), row)
    assert f'000005_5.png: {" ".join(words)}' in capsys.readouterr().out


@pytest.mark.parametrize('threshold', [0.0, 0.5, 1.0])
def test_what_is_said_under_a_picture_counts_its_marks(trained, threshold):
    for drawn in draw_proofread(trained, 6, threshold=threshold):
        edited, found, right = map(int, re.match(r'(\d+) edited, (\d+) found, (\d+) put right', drawn.note).groups())
        assert right <= found <= edited
        if threshold != 0.5:  # all words are found at 0, none at 1, whatever stands first among the candidates
            assert found == (edited if threshold == 0 else 0)


def test_tokens_of_a_caption_with_what_is_made_of_them(retriever, trained):
    inputs, _ = trained.prepare([trained.pair(str(retriever / '1.png'), 'A picture, of GREEN cars!')])
    originals = ['a', 'picture', 'of', 'red', 'car', '##s']
    tokens = read_caption(trained, inputs, 'global', originals)
    assert [token.text for token in tokens] == ['a', 'picture', 'of', 'green', 'car', '##s']
    assert [token.edited for token in tokens] == [False, False, False, True, False, False]
    reading = trained.model.proofread(inputs)['global']
    assert tokens[3].wrong == pytest.approx(reading.wrong[0, 4].item())
    assert tokens[3].candidates[0][0] == WORDS[reading.candidates[0, 4, 0]]
    assert len(tokens[3].candidates) == 3


def test_proofread_a_pair_of_the_user(retriever, tmp_path, capsys):
    args = ('--image', retriever / '1.png', '--caption', 'A picture, of GREEN cars!')
    assert call('proofreading', retriever, '--out', tmp_path, '--path', 'global', '--threshold', 0, *args) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ['1.png', 'index.html']
    assert capsys.readouterr().out == f'{tmp_path / "1.png"}: A picture, of GREEN cars!\n'
    # all five words are held for wrong: under the caption there is a line for each
    all_wrong = Image.open(tmp_path / '1.png')
    assert all_wrong.width == 480 + 24
    assert call('proofreading', retriever, '--out', tmp_path, '--threshold', 1, *args) == 0
    assert all_wrong.height - Image.open(tmp_path / '1.png').height >= 4 * 28


def test_word_maps(retriever, tmp_path):
    assert call('word-maps', retriever, '--out', tmp_path, '--num', 2) == 0
    # six tiles in a row: the picture and five words
    assert Image.open(tmp_path / '000005_5.png').width == 8 + 6 * (150 + 8)
    own = ('--image', retriever / '1.png', '--caption', 'green cars', '--layer', 1)
    assert call('word-maps', retriever, '--out', tmp_path, *own) == 0
    assert Image.open(tmp_path / '000000_1.png').width == 8 + 4 * (150 + 8)


def test_only_whole_single_pictures_are_drawn(retriever, tmp_path, capsys):
    (tmp_path / 'cut.json').write_text(json.dumps([dict(image='1.png', caption='green', bbox=[5, 5, 9, 9])]))
    config = Config.fromfile(str(retriever / 'tiny.py'))
    config.test_dataloader.dataset.ann_file = str(tmp_path / 'cut.json')
    config.test_dataloader.dataset.reader = dict(type='albef')
    config.dump(tmp_path / 'cut.py')
    for name in ('proofreading', 'word-maps', 'gallery', 'similarity'):
        args = [str(arg) for arg in (tmp_path / 'cut.py', retriever / 'tiny.pth', '--out', tmp_path / 'out')]
        assert main(['report', name, *args]) == 2
        assert 'sample 0 is not one whole picture' in capsys.readouterr().err


def test_similarity_distribution_beside_another_model(retriever, tmp_path):
    beside = ('--beside', retriever / 'tiny.py', retriever / 'tiny.pth')
    assert call('similarity', retriever, '--out', tmp_path, *beside) == 0
    found = json.loads((tmp_path / 'similarity.json').read_text())
    assert list(found) == ['tiny', 'tiny (tiny)'] and found['tiny'] == found['tiny (tiny)']
    assert found['tiny']['model']['name'] == 'tiny' and len(found['tiny']['model']['fingerprint']) == 32
    assert found['tiny']['positive']['count'] == 9 and found['tiny']['negative']['count'] == 45
    assert Image.open(tmp_path / 'similarity.png').width == 1100


def test_gallery(retriever, tmp_path):
    assert call('gallery', retriever, '--out', tmp_path, '--num', 2, '--topk', 3) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'i2t_000000.png', 'i2t_000005.png', 't2i_000000.png', 't2i_000008.png',
    ]  # fmt: skip


def test_pictures_are_drawn_within_the_limit_of_the_test_pipeline(trained):
    features = trained.features()
    picture_loader(trained.dataset).max_pixels = 2399
    with pytest.raises(ValueError, match='it has 60x40 pixels, the limit is max_pixels=2399'):
        draw_gallery(trained, features, 1)


def test_report(retriever, trained, tmp_path, capsys):
    (tmp_path / 'a.json').write_text(
        '{"i2t_R@1": 50.0, "t2i_R@1": 10.0, "detection_AUC/local": 80, "detection_AUC/chance": 60, '
        '"detection_AUC_editable/local": 70, "detection_AUC_editable/chance": 54, "i2t_MedR": 2.0}'
    )
    (tmp_path / 'b.json').write_text(
        '{"text_score": 30.0, "text_score/Object": 1.0, "correction_top1/local": 5.0, "correction_top1/chance": 6.25}'
    )
    args = ('--metrics', tmp_path / 'a.json', tmp_path / 'b.json', '--all-metrics', tmp_path / 'all.json', '--num', 2)
    assert call('retrieval', retriever, *args, '--out', tmp_path / 'r.html', '--title', 'My <run>') == 0
    page, printed = (tmp_path / 'r.html').read_text(), capsys.readouterr().out
    # 6 pictures, 9 captions: chance is 1.5 of 9 captions, 1 of 6 pictures
    for key, name, value, chance, style in (
        ('i2t_R@1', 'Recall@1', '50.00', '16.67', 'good'),
        ('t2i_R@1', 'Recall@1', '10.00', '16.67', 'bad'),
        ('detection_AUC/local', 'Finding edited words', '80.00', '60.00', 'good'),
        ('detection_AUC_editable/local', 'The same, editable words', '70.00', '54.00', 'good'),
        ('correction_top1/local', 'Original first', '5.00', '6.25', 'bad'),
        ('text_score', 'Captions', '30.00', '25.00', 'good'),
    ):
        row = next(row for row in re.findall(r'<tr>.*?</tr>', page, re.S) if f'<code>{key}</code>' in row)
        assert f'<b>{name}</b>' in row
        assert re.search(rf'<td class="n {style}">{value}</td><td class=n>{chance}</td>', row), key
        assert re.search(rf'^{re.escape(key)} +{value} +{chance}$', printed, re.M), key
    heads = ['Captions for a picture', 'Pictures for a caption', 'Proofreading, local path', 'Winoground']
    assert re.findall('<th class=group>(.*?)</th>', page) == heads
    assert 'My &lt;run&gt;' in page and 'i2t_MedR' not in page
    # proofreading 2, maps 1, similarities 1, galleries 2 and 2
    assert page.count('<figure>') == 8
    # of metrics, proofreading, maps and both galleries; the chart has its own
    assert page.count('<ul class=legend>') == 5
    assert 'http' not in re.sub(r'base64,[^"]+', '', page)
    joined = json.loads((tmp_path / 'all.json').read_text())
    assert joined['text_score/Object'] == 1
    assert joined[MANIFEST]['weights']['fingerprint'] == trained.trained.fingerprint
    assert joined[MANIFEST]['metrics'] == [described_file(tmp_path / f'{n}.json', manifest={}) for n in 'ab']


def test_a_report_shows_metrics_of_its_own_model_alone(retriever, trained, tmp_path, capsys):
    own, page = tmp_path / 'own.json', tmp_path / 'r.html'
    assert main(['test', str(retriever / 'tiny.py'), str(retriever / 'tiny.pth'), '--out', str(own),
                 '--work-dir', str(tmp_path)]) == 0  # fmt: skip
    manifest = json.loads(own.read_text())[MANIFEST]
    assert manifest['weights'] == dict(file=str(retriever / 'tiny.pth'), fingerprint=trained.trained.fingerprint)
    args = ('--metrics', own, '--all-metrics', tmp_path / 'all.json', '--out', page)
    assert call('retrieval', retriever, *args, '--num', 1) == 0
    # What was joined names its sources, and can be read again.
    assert json.loads((tmp_path / 'all.json').read_text())[MANIFEST]['metrics'][0][MANIFEST] == manifest
    assert call('retrieval', retriever, '--metrics', tmp_path / 'all.json', '--out', page, '--num', 1) == 0
    page.unlink()
    manifest['weights']['fingerprint'] = '0' * 32
    own.write_text(json.dumps({'RSUM': 100.0, MANIFEST: manifest}))
    capsys.readouterr()
    assert call('retrieval', retriever, *args) == 2
    assert f'{own}: was made from other weights than those given' in capsys.readouterr().err
    assert not page.exists()


def test_a_variant_without_correction_has_a_report_without_proofreading(retriever, trained, tmp_path):
    options = ('--cfg-options', 'model.correction_head=None')
    trained.model.correction_head = None
    drawn = draw_overview(trained, trained.features(), 1)
    assert list(drawn) == ['word_maps', 'similarity', 'found_pictures', 'found_captions']
    with pytest.raises(ValueError, match='needs a detection_head and a correction_head'):
        draw_proofread(trained, 1)
    # With the head's weights in the checkpoint the model does not fit.
    assert call('proofreading', retriever, '--out', tmp_path, *options) == 2


def test_the_metric_reads_what_the_model_writes(trained):
    metric = ProofreadingMetric()
    with torch.no_grad():
        for inputs, samples in trained.batches():
            metric.process({}, [sample.to_dict() for sample in trained.model(inputs, None, samples, 'predict')])
    found = metric.evaluate(6)
    assert set(found) == {
        f'{name}/{path}'
        for name in ('detection_AUC', 'detection_AUC_editable', 'correction_top1', 'correction_top5')
        for path in ('local', 'global', 'chance')
    }


@pytest.mark.parametrize(
    ('name', 'args', 'message'),
    [
        ('proofreading', ['--out', 'x', '--path', 'sideways'], "path 'sideways': this model has local, global"),
        ('proofreading', ['--out', 'x', '--image', 'nowhere.png', '--caption', 'a'], 'nowhere.png'),
        ('proofreading', ['--out', 'x', '--image', '1.png', '--caption', ' '], 'proofreading needs a caption'),
        ('proofreading', ['--out', 'x', '--image', 'a.png'], '--image and --caption belong together'),
        ('word-maps', ['--out', 'x', '--image', '1.png', '--caption', ' '], 'has no word in it'),
        ('word-maps', ['--out', 'x', '--path', 'global'], "path 'global' has no cross-attention"),
        ('word-maps', ['--out', 'x', '--num', '0'], '--num'),
        ('gallery', ['--out', 'x', '--topk', '0'], '--topk'),
        ('similarity', ['--out', 'x', '--beside', 'no.py', 'no.pth'], "'no.py' does not exist"),
        ('retrieval', ['--out', 'x', '--metrics', 'no.json'], 'no.json'),
        ('retrieval', ['--out', 'x'], '--metrics'),
    ],
)
def test_wrong_arguments(retriever, tmp_path, monkeypatch, capsys, name, args, message):
    folder = tmp_path / 'empty'
    folder.mkdir()
    monkeypatch.chdir(folder)
    args = [str(retriever / arg) if arg == '1.png' else arg for arg in args]
    assert call(name, retriever, *args) == 2
    assert message in capsys.readouterr().err
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"i2t_R@1": "much"}', 'must be a JSON object of numbers'),
        ('{"i2t_MedR": 1.0}', 'none of the metrics i2t_R@1'),
        ('{', 'broken JSON'),
    ],
)
def test_metrics_that_cannot_be_shown(retriever, tmp_path, capsys, content, message):
    (tmp_path / 'm.json').write_text(content)
    args = ('--metrics', tmp_path / 'm.json', '--out', tmp_path / 'r.html')
    assert call('retrieval', retriever, *args) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'r.html').exists()
