"""METER's checkpoint: names and shapes at full size, forward equality at reduced size."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint
from transformers import BertConfig, BertModel

from mmvlforge.cli import main
from mmvlforge.models.weights import convert, meter_names
from mmvlforge.models.weights.checkpoint_files import meta_state_dict, read_config
from mmvlforge.models.weights.published import convert_meter
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs

REPO = Path(__file__).parents[2]
HEADS = ('binary_head.', 'type_head.', 'box_head.', 'token_head.')

init_default_scope('mmvlforge')


def meter_shapes(width=768, vit=11, text=12, cross=6, vocab=50265, length=514, tokens=197, patch=16):
    """Names and shapes of METER (CLIP-ViT-B/16 of 11 blocks, RoBERTa-base) as pre-trained, heads included."""
    ffn = 4 * width
    shapes = {}

    def linear(name, out, into):
        shapes.update({f'{name}.weight': (out, into), f'{name}.bias': (out,)})

    def norm(name, dims=width):
        shapes.update({f'{name}.weight': (dims,), f'{name}.bias': (dims,)})

    def attention(name):
        for part in ('query', 'key', 'value'):
            linear(f'{name}.self.{part}', width, width)
        linear(f'{name}.output.dense', width, width)
        norm(f'{name}.output.LayerNorm')

    def feed_forward(name):
        linear(f'{name}.intermediate.dense', ffn, width)
        linear(f'{name}.output.dense', width, ffn)
        norm(f'{name}.output.LayerNorm')

    for modality in ('text', 'image'):
        linear(f'cross_modal_{modality}_transform', width, width)
    shapes['token_type_embeddings.weight'] = (2, width)

    shapes['vit_model.positional_embedding'] = (77, 512)
    shapes['vit_model.visual.class_embedding'] = (width,)
    shapes['vit_model.visual.positional_embedding'] = (tokens, width)
    shapes['vit_model.visual.conv1.weight'] = (width, 3, patch, patch)
    norm('vit_model.visual.ln_pre')
    norm('vit_model.visual.ln_post')
    for i in range(vit):
        block = f'vit_model.visual.transformer.resblocks.{i}.'
        shapes[block + 'attn.in_proj_weight'] = (3 * width, width)
        shapes[block + 'attn.in_proj_bias'] = (3 * width,)
        linear(block + 'attn.out_proj', width, width)
        norm(block + 'ln_1')
        linear(block + 'mlp.c_fc', ffn, width)
        linear(block + 'mlp.c_proj', width, ffn)
        norm(block + 'ln_2')
    norm('vit_model.ln_final', 512)

    shapes['text_transformer.embeddings.position_ids'] = (1, length)
    shapes['text_transformer.embeddings.word_embeddings.weight'] = (vocab, width)
    shapes['text_transformer.embeddings.position_embeddings.weight'] = (length, width)
    shapes['text_transformer.embeddings.token_type_embeddings.weight'] = (1, width)
    norm('text_transformer.embeddings.LayerNorm')
    for i in range(text):
        attention(f'text_transformer.encoder.layer.{i}.attention')
        feed_forward(f'text_transformer.encoder.layer.{i}')
    linear('text_transformer.pooler.dense', width, width)

    for modality in ('image', 'text'):
        for i in range(cross):
            attention(f'cross_modal_{modality}_layers.{i}.attention')
            attention(f'cross_modal_{modality}_layers.{i}.crossattention')
            feed_forward(f'cross_modal_{modality}_layers.{i}')
        linear(f'cross_modal_{modality}_pooler.dense', width, width)

    linear('mlm_score.transform.dense', width, width)
    norm('mlm_score.transform.LayerNorm')
    shapes['mlm_score.decoder.weight'] = (vocab, width)
    shapes['mlm_score.bias'] = (vocab,)
    linear('itm_score.fc', 2, 2 * width)
    return shapes


DROPPED = (
    'vit_model.positional_embedding',
    'vit_model.ln_final.',
    'text_transformer.embeddings.position_ids',
    'text_transformer.pooler.',
    'cross_modal_image_pooler.',
    'cross_modal_text_pooler.',
    'mlm_score.',
    'itm_score.',
)


@pytest.mark.parametrize('tokens', [197, 325])
def test_names_and_shapes_at_full_size(tokens):
    source = {key: torch.empty(shape, device='meta') for key, shape in meter_shapes(tokens=tokens).items()}
    target = meta_state_dict(read_config(str(REPO / 'configs' / 'dgm4' / 'dca_imq.py')).model)

    converted = convert(source, meter_names(source), target, 'meter')

    body = {name: tuple(v.shape) for name, v in target.items() if not name.startswith(HEADS)}
    assert {name: tuple(v.shape) for name, v in converted.state_dict.items()} == body
    assert converted.missing == [name for name in target if name.startswith(HEADS)]
    assert sorted(converted.unused) == sorted(key for key in source if key.startswith(DROPPED))


def test_without_cross_layers_only_they_are_missing():
    keys = list(meter_shapes())
    whole, part = meter_names(keys), meter_names(keys, cross_layers=False)
    assert {key for key in whole if key not in part} == {
        key for key in keys if key.startswith(('cross_modal_text_layers.', 'cross_modal_image_layers.'))
    }


# Reduced: 64 channels, 2 layers each, a 3x3 grid in the file and 4x4 in the model.

SMALL = dict(width=64, vit=2, text=2, cross=2, vocab=50, length=20, tokens=10, patch=4)
CONFIG = """
default_scope = 'mmvlforge'
model = dict(
    type='ManipulationDetector',
    image_encoder=dict(
        type='ViTImageEncoder',
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(embed_dims=64, num_layers=2, num_heads=4, feedforward_channels=256),
            img_size=16, patch_size=4, out_type='raw', pre_norm=True, patch_cfg=dict(bias=False))),
    text_encoder=dict(
        type='HFTextEncoder',
        config=dict(
            model_type='roberta', vocab_size=50, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=256, max_position_embeddings=20, type_vocab_size=1)),
    neck=dict(
        type='DCANeck', image_dims=64, text_dims=64, embed_dims=64, num_heads=4, ffn_dims=256,
        num_image_layers=2, num_text_layers=2),
    binary_head=dict(type='BinaryHead', in_dims=64, hidden_dims=16),
    type_head=dict(type='DFCHead', in_dims=64, hidden_dims=16),
    box_head=dict(type='IMQBoxHead', in_dims=64, hidden_dims=16, num_heads=4),
    token_head=dict(type='IMQTokenHead', in_dims=64, num_heads=4, reduced_dims=8))
"""


def meter_state(**changes):
    generator = torch.Generator().manual_seed(0)
    return {k: 0.2 * torch.randn(s, generator=generator) for k, s in meter_shapes(**{**SMALL, **changes}).items()}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text(CONFIG)
    return str(path)


def meter_fusion(state, image, text, image_mask, text_mask, layers=2, heads=4):
    """METER from the encoders' outputs to the last cross-modal layers, as it is written there: both sides at once."""

    def linear(x, name):
        return F.linear(x, state[f'{name}.weight'], state[f'{name}.bias'])

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], state[f'{name}.weight'], state[f'{name}.bias'], 1e-12)

    def attention(name, x, y, mask):
        def split(t):
            return t.view(len(t), t.shape[1], heads, -1).transpose(1, 2)

        q, k, v = (split(linear(t, f'{name}.self.{p}')) for t, p in ((x, 'query'), (y, 'key'), (y, 'value')))
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 + (1 - mask[:, None, None].float()) * -10000.0
        out = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        return norm(linear(out, f'{name}.output.dense') + x, f'{name}.output.LayerNorm')

    def layer(name, x, y, x_mask, y_mask):
        x = attention(f'{name}.attention', x, x, x_mask)
        x = attention(f'{name}.crossattention', x, y, y_mask)
        hidden = F.gelu(linear(x, f'{name}.intermediate.dense'))
        return norm(linear(hidden, f'{name}.output.dense') + x, f'{name}.output.LayerNorm')

    text = linear(text, 'cross_modal_text_transform') + state['token_type_embeddings.weight'][0]
    image = linear(image, 'cross_modal_image_transform') + state['token_type_embeddings.weight'][1]
    for i in range(layers):
        text, image = (
            layer(f'cross_modal_text_layers.{i}', text, image, text_mask, image_mask),
            layer(f'cross_modal_image_layers.{i}', image, text, image_mask, text_mask),
        )
    return image, text


def test_neck_forward_equals_plain_meter():
    state = meter_state()
    neck = MODELS.build(
        dict(type='DCANeck', image_dims=64, text_dims=64, embed_dims=64, num_heads=4, ffn_dims=256,
             num_image_layers=2, num_text_layers=2)
    ).eval()  # fmt: skip
    converted = convert(
        state, {k: n.removeprefix('neck.') for k, n in meter_names(state).items()}, neck.state_dict(), 'm'
    )
    neck.load_state_dict(converted.state_dict)  # strict
    generator = torch.Generator().manual_seed(1)
    image, text = torch.randn(2, 5, 64, generator=generator), torch.randn(2, 7, 64, generator=generator)
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])

    found = neck(image, text, VLInputs(None, mask.long(), mask, mask))

    expected_image, expected_text = meter_fusion(state, image, text, torch.ones(2, 5), mask)
    torch.testing.assert_close(
        torch.cat([found.image_cls[:, None], found.image_patches], 1), expected_image, atol=1e-5, rtol=1e-5
    )
    text_tokens = torch.cat([found.text_cls[:, None], found.text_tokens], 1)
    torch.testing.assert_close(text_tokens[mask], expected_text[mask], atol=1e-5, rtol=1e-5)


def test_it_writes_what_load_from_reads(tmp_path, config):
    state = meter_state()
    torch.save({'state_dict': state, 'epoch': 3, 'global_step': 7}, tmp_path / 'meter.ckpt')
    out = tmp_path / 'new' / 'out.pth'

    lines = convert_meter(str(tmp_path / 'meter.ckpt'), str(out), config)

    printed = '\n'.join(lines)
    assert printed.endswith(f'\nwritten: {out}')
    assert 'mlm_score.decoder.weight' in printed and 'missing as expected' in printed
    assert 'token_head.queries' in printed
    assert 'NOT EXPECTED' not in printed
    # What `train` lets begin anew.
    left_empty = torch.load(out, weights_only=True)['meta']['left_empty']
    assert left_empty == [part for part in ('binary_head', 'type_head', 'box_head', 'token_head') if part in printed]
    model = MODELS.build(Config.fromfile(config).model)
    load_checkpoint(model, str(out), map_location='cpu')
    blocks = 'vit_model.visual.transformer.resblocks.1.'
    assert torch.equal(model.image_encoder.backbone.layers[1].attn.qkv.weight, state[blocks + 'attn.in_proj_weight'])
    assert torch.equal(model.image_encoder.backbone.layers[1].ffn.layers[1].weight, state[blocks + 'mlp.c_proj.weight'])
    assert torch.equal(model.image_encoder.backbone.ln1.bias, state['vit_model.visual.ln_post.bias'])
    assert torch.equal(
        model.text_encoder.model.encoder.layer[1].intermediate.dense.weight,
        state['text_transformer.encoder.layer.1.intermediate.dense.weight'],
    )
    assert torch.equal(model.neck.modality_embed, state['token_type_embeddings.weight'])


def test_bert_keeps_its_own_weights_and_takes_the_rest(tmp_path):
    sizes = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256)
    torch.manual_seed(3)
    bert = BertModel(BertConfig(vocab_size=40, max_position_embeddings=30, **sizes))
    bert.save_pretrained(tmp_path / 'bert')
    path = tmp_path / 'bert.py'
    roberta = CONFIG[CONFIG.index('        config=dict(') : CONFIG.index('    neck=')]
    own = f"""
        config=dict(model_type='bert', vocab_size=40, max_position_embeddings=30, **{sizes}),
        init_cfg=dict(type='HFPretrained', folder={str(tmp_path / 'bert')!r})),
"""
    path.write_text(CONFIG.replace(roberta, own))
    state = meter_state()
    torch.save({'state_dict': state}, tmp_path / 'meter.ckpt')

    lines = convert_meter(str(tmp_path / 'meter.ckpt'), str(tmp_path / 'out.pth'), str(path))

    assert lines[0] == "the text tower is left out: METER's is roberta, the config's bert"
    assert 'NOT EXPECTED' not in '\n'.join(lines)
    model = MODELS.build(Config.fromfile(path).model)
    model.init_weights()
    load_checkpoint(model, str(tmp_path / 'out.pth'), map_location='cpu')  # what a run does after it
    for name, value in model.text_encoder.model.state_dict().items():
        assert torch.equal(value, bert.state_dict()[name]), name
    assert torch.equal(model.neck.modality_embed, state['token_type_embeddings.weight'])
    assert torch.equal(model.image_encoder.backbone.ln1.bias, state['vit_model.visual.ln_post.bias'])


def test_the_command_of_the_bert_config_at_full_size(tmp_path, monkeypatch, capsys):
    doc = (REPO / 'configs/dgm4/dca_imq_bert.py').read_text().split('"""')[1]
    (command,) = (line for line in doc.splitlines() if line.startswith('mmvlforge '))
    monkeypatch.chdir(tmp_path)
    # One number stands for all of a tensor's: 1.3 GB would be written.
    torch.save({'state_dict': {k: torch.ones(1).expand(s) for k, s in meter_shapes().items()}}, 'METER.ckpt')
    assert main(command.split()[1:]) == 0
    out = capsys.readouterr().out
    cfg = read_config(str(REPO / 'configs/dgm4/dca_imq_bert.py'))
    written = torch.load(cfg.load_from, weights_only=True, mmap=True)['state_dict']
    names = meta_state_dict(cfg.model)
    wanted = {name for name in names if not name.startswith((*HEADS, 'text_encoder.'))}
    assert set(written) == wanted and 'NOT EXPECTED' not in out and 'text tower is left out' in out
    assert cfg.model.text_encoder.init_cfg.folder == cfg.tokenizer.name


def test_no_cross_leaves_the_cross_layers_out(tmp_path, config):
    torch.save({'state_dict': meter_state()}, tmp_path / 'meter.ckpt')
    lines = convert_meter(str(tmp_path / 'meter.ckpt'), str(tmp_path / 'out.pth'), config, cross_layers=False)
    names = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    assert {n.split('.')[1] for n in names if n.startswith('neck.')} == {
        'image_transform',
        'text_transform',
        'modality_embed',
    }
    assert 'NOT EXPECTED' not in '\n'.join(lines)


def test_a_short_meter_file_shows_what_is_missing(tmp_path, config):
    state = meter_state()
    del state['vit_model.visual.ln_post.weight']
    torch.save({'state_dict': state}, tmp_path / 'meter.ckpt')
    lines = convert_meter(str(tmp_path / 'meter.ckpt'), str(tmp_path / 'out.pth'), config)
    assert 'MISSING, NOT EXPECTED: 1\n  image_encoder.backbone.ln1.weight\n' in '\n'.join(lines)


class HyperParameters:
    """Stands for what Lightning pickles beside the weights."""


def test_other_objects_need_the_flag(tmp_path, config, monkeypatch):
    monkeypatch.setitem(sys.modules, HyperParameters.__module__, sys.modules[__name__])
    torch.save({'state_dict': meter_state(), 'hyper_parameters': HyperParameters()}, tmp_path / 'meter.ckpt')
    arguments = (str(tmp_path / 'meter.ckpt'), str(tmp_path / 'out.pth'), config)
    with pytest.raises(ValueError, match='--unsafe-load'):
        convert_meter(*arguments)
    assert not (tmp_path / 'out.pth').exists()
    convert_meter(*arguments, unsafe=True)
    assert (tmp_path / 'out.pth').exists()


def test_unsafe_load_names_a_package_that_is_not_there(tmp_path, config, monkeypatch):
    monkeypatch.setattr(HyperParameters, '__module__', 'absent_lightning')
    module = type(sys)('absent_lightning')
    module.HyperParameters = HyperParameters
    monkeypatch.setitem(sys.modules, 'absent_lightning', module)
    torch.save({'state_dict': meter_state(), 'x': HyperParameters()}, tmp_path / 'meter.ckpt')
    monkeypatch.delitem(sys.modules, 'absent_lightning')
    with pytest.raises(ValueError, match="not installed: No module named 'absent_lightning'"):
        convert_meter(str(tmp_path / 'meter.ckpt'), 'out.pth', config, unsafe=True)


def test_wrong_shape_names_the_key(tmp_path, config):
    torch.save({'state_dict': meter_state(vocab=51)}, tmp_path / 'meter.ckpt')
    key = r'text_transformer\.embeddings\.word_embeddings\.weight'
    with pytest.raises(ValueError, match=key + r'.*\(51, 64\).*\(50, 64\)'):
        convert_meter(str(tmp_path / 'meter.ckpt'), str(tmp_path / 'out.pth'), config)


def test_not_a_meter_file_names_the_missing_groups(tmp_path, config):
    state = {k: v for k, v in meter_state().items() if not k.startswith(('vit_model.', 'token_type'))}
    torch.save({'state_dict': state}, tmp_path / 'vilt.ckpt')
    with pytest.raises(ValueError, match=r'no keys vit_model\.visual\.\*, token_type_embeddings\.\*$'):
        convert_meter(str(tmp_path / 'vilt.ckpt'), str(tmp_path / 'out.pth'), config)


def test_missing_file(tmp_path, config):
    with pytest.raises(ValueError, match=r'none\.ckpt: no such file'):
        convert_meter(str(tmp_path / 'none.ckpt'), str(tmp_path / 'out.pth'), config)


def test_missing_config(tmp_path):
    torch.save({'state_dict': meter_state()}, tmp_path / 'meter.ckpt')
    with pytest.raises(ValueError, match=r"config 'none\.py' does not exist"):
        convert_meter(str(tmp_path / 'meter.ckpt'), str(tmp_path / 'out.pth'), 'none.py')
