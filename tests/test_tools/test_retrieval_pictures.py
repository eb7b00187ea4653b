"""The tools that draw a retrieval model's work, and its report, on six one-coloured pictures."""

import importlib
import json
import re
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from project import ROOT
from tiny_vilem import tiny_model
from transformers import BertTokenizerFast

from mmvlforge.evaluation import ProofreadingMetric
from mmvlforge.registry import MODELS

sys.path.insert(0, str(ROOT / 'tools/analysis'))
names = ('make_retrieval_report', 'proofread', 'retrieval_gallery', 'similarity_distribution', 'word_patch_maps')
make_retrieval_report, proofread, retrieval_gallery, similarity_distribution, word_patch_maps = map(
    importlib.import_module, names
)
from mmvlforge.apis.retrieval import TrainedRetriever, spread  # noqa: E402

COLORS = ('red', 'blue', 'green', 'white', 'black', 'pink')
WORDS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'picture', 'of', 'colour', *COLORS, 'car', '##s')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A tiny config and a checkpoint of its untrained model."""
    root = tmp_path_factory.mktemp('pictures')
    images = []
    for i, color in enumerate(COLORS):
        name = f'{i}.png'
        Image.new('RGB', (60, 40), color).save(root / name)
        captions = [f'a picture of colour {color}', f'{color} cars'][: 1 + i % 2]
        images.append(dict(filename=name, split='test', sentences=[dict(raw=text) for text in captions]))
    (root / 'captions.json').write_text(json.dumps(dict(images=images)))
    (root / 'words.txt').write_text('\n'.join(WORDS))
    BertTokenizerFast(vocab_file=str(root / 'words.txt')).save_pretrained(root / 'tokenizer')
    config = Config.fromfile(str(ROOT / 'configs/vilem/vilem_mini.py'))
    config.merge_from_dict(tiny_options(root))
    config.dump(root / 'tiny.py')
    init_default_scope('mmvlforge')
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), root / 'tiny.pth')
    return root


def tiny_options(root) -> dict:
    """Settings over the mini config: 16 channels, the six pictures, random edits."""
    loader = 'test_dataloader'
    return {
        **{f'{loader}.{key}': value for key, value in (('batch_size', 4), ('num_workers', 0))},
        f'{loader}.dataset.data_root': f'{root}/',
        f'{loader}.dataset.ann_file': 'captions.json',
        f'{loader}.dataset.pipeline.3.name': str(root / 'tokenizer'),
        **tiny_model(len(WORDS)),
        'model.corruptor': dict(type='TextCorruptor', name=str(root / 'tokenizer'), mode='random', rate=0.5),
    }


def call(tool, made, *args):
    try:
        return tool.main([str(arg) for arg in (made / 'tiny.py', made / 'tiny.pth', *args)])
    except SystemExit as stop:  # argparse
        return stop.code


def test_spread():
    assert spread(3, 9) == [0, 4, 8]
    assert spread(9, 3) == [0, 1, 2]
    assert spread(1, 5) == [0]


def test_proofread_test_samples(made, tmp_path, capsys):
    assert call(proofread, made, '--out', tmp_path, '--num', 2) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ['000000_0.png', '000005_5.png', 'index.html']
    assert Image.open(tmp_path / '000000_0.png').width == 480 + 24
    page = (tmp_path / 'index.html').read_text()
    assert page.count('<figure>') == 2 and re.search(r'\d edited, \d found, \d put right', page)
    # The words drawn are those that the metric scores.
    trained = TrainedRetriever(str(made / 'tiny.py'), str(made / 'tiny.pth'), {})
    inputs, samples = trained.prepare([trained.dataset[5]])
    edited = trained.model.edit_groups(inputs, samples, 0)
    row = int((edited != inputs.input_ids).any(dim=1).int().argmax())
    words = trained.tokens(inputs._replace(input_ids=edited), row)
    assert f'000005_5.png: {" ".join(words)}' in capsys.readouterr().out


def test_proofread_a_pair_of_the_user(made, tmp_path):
    args = ('--image', made / '1.png', '--caption', 'A picture, of GREEN cars!')
    assert call(proofread, made, '--out', tmp_path, '--path', 'global', '--threshold', 0, *args) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ['1.png', 'index.html']
    trained = TrainedRetriever(str(made / 'tiny.py'), str(made / 'tiny.pth'), {})
    inputs, _ = trained.prepare([trained.pair(str(made / '1.png'), args[3])])
    tokens = proofread.read_caption(trained, inputs, 'global')
    assert [token.text for token in tokens] == ['a', 'picture', 'of', 'green', 'car', '##s']
    reading = trained.model.proofread(inputs)['global']
    assert tokens[3].wrong == pytest.approx(reading.wrong[0, 4].item())
    assert tokens[3].candidates[0][0] == WORDS[reading.candidates[0, 4, 0]]
    assert len(tokens[3].candidates) == 3


def test_word_patch_maps(made, tmp_path):
    assert call(word_patch_maps, made, '--out', tmp_path, '--num', 2) == 0
    # six tiles in a row: the picture and five words
    assert Image.open(tmp_path / '000005_5.png').width == 8 + 6 * (150 + 8)
    own = ('--image', made / '1.png', '--caption', 'green cars', '--layer', 1)
    assert call(word_patch_maps, made, '--out', tmp_path, *own) == 0
    assert Image.open(tmp_path / '000000_1.png').width == 8 + 4 * (150 + 8)


def test_only_whole_single_pictures_are_drawn(made, tmp_path, capsys):
    (tmp_path / 'cut.json').write_text(json.dumps([dict(image='1.png', caption='green', bbox=[5, 5, 9, 9])]))
    config = Config.fromfile(str(made / 'tiny.py'))
    config.test_dataloader.dataset.ann_file = str(tmp_path / 'cut.json')
    config.test_dataloader.dataset.reader = dict(type='albef')
    config.dump(tmp_path / 'cut.py')
    for tool in (proofread, word_patch_maps, retrieval_gallery, similarity_distribution):
        args = [str(arg) for arg in (tmp_path / 'cut.py', made / 'tiny.pth', '--out', tmp_path / 'out')]
        assert tool.main(args) == 2
        assert 'sample 0 is not one whole picture' in capsys.readouterr().err


def test_similarity_distribution_beside_another_model(made, tmp_path):
    beside = ('--beside', made / 'tiny.py', made / 'tiny.pth')
    assert call(similarity_distribution, made, '--out', tmp_path, *beside) == 0
    found = json.loads((tmp_path / 'similarity.json').read_text())
    assert list(found) == ['tiny', 'tiny (tiny)'] and found['tiny'] == found['tiny (tiny)']
    assert found['tiny']['positive']['count'] == 9 and found['tiny']['negative']['count'] == 45
    assert Image.open(tmp_path / 'similarity.png').width == 1100


def test_gallery(made, tmp_path):
    assert call(retrieval_gallery, made, '--out', tmp_path, '--num', 2, '--topk', 3) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'i2t_000000.png', 'i2t_000005.png', 't2i_000000.png', 't2i_000008.png',
    ]  # fmt: skip


def test_report(made, tmp_path, capsys):
    (tmp_path / 'a.json').write_text(
        '{"i2t_R@1": 50.0, "t2i_R@1": 10.0, "detection_AUC/local": 80, "detection_AUC/chance": 60, "i2t_MedR": 2.0}'
    )
    (tmp_path / 'b.json').write_text('{"text_score": 30.0, "text_score/Object": 1.0, "correction_top1/local": 5.0,'
                                     ' "correction_top1/chance": 6.25}')  # fmt: skip
    args = ('--metrics', tmp_path / 'a.json', tmp_path / 'b.json', '--all-metrics', tmp_path / 'all.json', '--num', 2)
    assert call(make_retrieval_report, made, *args, '--out', tmp_path / 'r.html', '--title', 'My <run>') == 0
    page, printed = (tmp_path / 'r.html').read_text(), capsys.readouterr().out
    # 6 pictures, 9 captions: chance is 1.5 of 9 captions, 1 of 6 pictures
    for name, value, chance, style in (
        ('i2t_R@1', '50.00', '16.67', 'good'),
        ('t2i_R@1', '10.00', '16.67', 'bad'),
        ('detection_AUC/local', '80.00', '60.00', 'good'),
        ('correction_top1/local', '5.00', '6.25', 'bad'),
        ('text_score', '30.00', '25.00', 'good'),
    ):
        row = f'<b>{name}</b>.*?<td class="n {style}">{value}</td><td class=n>{chance}</td>'
        assert re.search(row, page), name
        assert re.search(rf'^{re.escape(name)} +{value} +{chance}$', printed, re.M), name
    assert 'My &lt;run&gt;' in page and 'i2t_MedR' not in page
    # proofreading 2, maps 1, similarities 1, galleries 2 and 2
    assert page.count('<figure>') == 8
    assert 'http' not in re.sub(r'base64,[^"]+', '', page)
    assert json.loads((tmp_path / 'all.json').read_text())['text_score/Object'] == 1


def test_a_variant_without_correction_has_a_report_without_proofreading(made, tmp_path):
    options = ('--cfg-options', 'model.correction_head=None')
    trained = TrainedRetriever(str(made / 'tiny.py'), str(made / 'tiny.pth'), {})
    trained.model.correction_head = None
    parts = make_retrieval_report.sections(trained, trained.features(), 1)
    assert [re.search('<h2>(.*?)</h2>', part)[1] for part in parts] == [
        'Where it looks', 'Similarities', 'Pictures for a caption', 'Captions for a picture',
    ]  # fmt: skip
    with pytest.raises(ValueError, match='needs a detection_head and a correction_head'):
        proofread.draw_test_samples(trained, 1)
    # With the head's weights in the checkpoint the model does not fit.
    assert call(proofread, made, '--out', tmp_path, *options) == 2


def test_the_metric_reads_what_the_model_writes(made):
    trained = TrainedRetriever(str(made / 'tiny.py'), str(made / 'tiny.pth'), {})
    metric = ProofreadingMetric()
    with torch.no_grad():
        for inputs, samples in trained.batches():
            metric.process({}, [sample.to_dict() for sample in trained.model(inputs, None, samples, 'predict')])
    found = metric.evaluate(6)
    assert set(found) == {
        f'{name}/{path}'
        for name in ('detection_AUC', 'correction_top1', 'correction_top5')
        for path in ('local', 'global', 'chance')
    }


@pytest.mark.parametrize(
    ('tool', 'args', 'message'),
    [
        (proofread, ['--out', 'x', '--path', 'sideways'], "path 'sideways': this model has local, global"),
        (proofread, ['--out', 'x', '--image', 'nowhere.png', '--caption', 'a'], 'nowhere.png'),
        (proofread, ['--out', 'x', '--image', 'nowhere.png', '--caption', ' '], 'the caption is empty'),
        (proofread, ['--out', 'x', '--image', 'a.png'], '--image and --caption belong together'),
        (word_patch_maps, ['--out', 'x', '--path', 'global'], "path 'global' has no cross-attention"),
        (word_patch_maps, ['--out', 'x', '--num', '0'], '--num must be at least 1'),
        (retrieval_gallery, ['--out', 'x', '--topk', '0'], '--num and --topk must be at least 1'),
        (similarity_distribution, ['--out', 'x', '--beside', 'no.py', 'no.pth'], 'no.py does not exist'),
        (make_retrieval_report, ['--out', 'x', '--metrics', 'no.json'], 'no.json'),
    ],
)
def test_wrong_arguments(made, tmp_path, monkeypatch, capsys, tool, args, message):
    monkeypatch.chdir(tmp_path)
    assert call(tool, made, *args) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_quickstart_names_its_jobs():
    result = subprocess.run(
        ['bash', str(ROOT / 'tools/quickstart.sh'), 'albef'], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "unknown job 'albef'" in result.stderr and 'vilem' in result.stderr
