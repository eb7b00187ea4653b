"""The exported model: a vanilla dual encoder, with the outputs of the model it comes from."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint

from mmvlforge.cli import main
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
    out = tmp_path / 'new' / 'retriever.pth'
    assert main(['export', str(config), str(checkpoint), str(out)]) == 0
    assert f'written: {out.with_suffix(".py")}' in capsys.readouterr().out

    exported = Config.fromfile(out.with_suffix('.py'))
    assert exported.load_from is None
    assert [metric.type for metric in exported.test_evaluator.metrics] == ['ImageTextRecall']
    assert exported.model.data_preprocessor.mean == (0.5, 0.5, 0.5)
    retriever = MODELS.build(exported.model).eval()
    load_checkpoint(retriever, str(out), map_location='cpu', strict=True)

    # What a dual encoder without any of ViLEM has, and nothing else, in the file and in the model.
    model_cfg = Config.fromfile(config).model
    text = {k: v for k, v in model_cfg.text_encoder.items() if k not in ('num_cross_layers', 'memory_dims')}
    vanilla = MODELS.build(
        dict(type='DualEncoder', image_encoder=model_cfg.image_encoder, text_encoder=text, image_dims=16, text_dims=24,
             embed_dims=8)
    )  # fmt: skip
    expected = {name: t.shape for name, t in vanilla.state_dict().items()}
    assert {name: t.shape for name, t in retriever.state_dict().items()} == expected
    stored = torch.load(out, weights_only=True)['state_dict']
    assert {name: t.shape for name, t in stored.items()} == expected
    assert not any(word in name for name in stored for word in ('cross', 'head', 'queue', 'momentum'))
    assert sum(p.numel() for p in retriever.parameters()) == sum(p.numel() for p in vanilla.parameters())

    with torch.no_grad():
        found, whole = retriever(batch()), model(batch())
        other = model.extract_feat(batch(), momentum=not momentum)
    assert torch.equal(found.image, whole.image) and torch.equal(found.text, whole.text)
    assert not torch.allclose(found.image, other.image, atol=1e-4)


def test_a_checkpoint_of_another_model_is_refused(tmp_path, capsys):
    config, model, checkpoint = trained(tmp_path)
    state = model.state_dict()
    del state['text_proj.bias']
    state['image_proj.weight'] = torch.zeros(8, 15)
    torch.save(dict(state_dict=state), checkpoint)
    assert main(['export', str(config), str(checkpoint), str(tmp_path / 'out.pth')]) == 2
    error = capsys.readouterr().err
    assert (
        'epoch_3.pth: not trained with this config: image_proj.weight is missing or has another shape (2 such' in error
    )
    assert not (tmp_path / 'out.pth').exists()


def test_nan_is_not_exported(tmp_path, capsys):
    config, model, checkpoint = trained(tmp_path)
    state = model.state_dict()
    state['image_proj.bias'][2] = float('nan')
    torch.save(dict(state_dict=state), checkpoint)
    assert main(['export', str(config), str(checkpoint), str(tmp_path / 'out.pth')]) == 2
    assert 'epoch_3.pth: 1 tensors hold NaN or infinity: image_proj.bias' in capsys.readouterr().err
    assert not (tmp_path / 'out.pth').exists()


def test_a_checkpoint_that_could_run_code_is_refused(tmp_path, capsys):
    config, model, checkpoint = trained(tmp_path)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(path=Path('x'))), checkpoint)
    assert main(['export', str(config), str(checkpoint), str(tmp_path / 'out.pth')]) == 2
    assert 'it could run code: pathlib' in capsys.readouterr().err
    # Only while it is read: other code of this process is not concerned.
    torch.load(checkpoint, weights_only=False)


def test_wrong_arguments(tmp_path, capsys):
    config, _, checkpoint = trained(tmp_path)
    assert main(['export', str(config), str(checkpoint), 'out.bin']) == 2
    assert 'out.bin: must end in .pth' in capsys.readouterr().err
    assert main(['export', str(config), 'none.pth', str(tmp_path / 'out.pth')]) == 2
    assert 'none.pth' in capsys.readouterr().err
    assert main(['export', 'none.py', str(checkpoint), str(tmp_path / 'out.pth')]) == 2
