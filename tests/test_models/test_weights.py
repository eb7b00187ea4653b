"""CLIP and Hugging Face weights: names and shapes at full size, forward equality at reduced size, failures."""

import json
import os
import pickle
import zipfile

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM, BertModel, RobertaConfig, RobertaForMaskedLM, RobertaModel

from mmvlforge.models.weights import (
    CLIPPretrained,
    HFPretrained,
    clip_vit_names,
    convert,
    hf_text_names,
    read_hf_weights,
    read_state_dict,
)
from mmvlforge.models.weights import conversion as conversion_module
from mmvlforge.models.weights.reading import safe_checkpoints
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs

init_default_scope('mmvlforge')


@pytest.fixture
def log(monkeypatch):
    """Lines that loading logs."""
    lines = []
    monkeypatch.setattr(conversion_module, 'print_log', lambda line, **_: lines.append(line))
    return lines


# CLIP


def clip_state(width=64, blocks=2, tokens=17, patch=4, device='cpu', tower='visual.'):
    """A CLIP with random values; widths of the text tower as in ViT-B/16, scaled."""
    text = width * 2 // 3

    def block(prefix, dims):
        return {
            f'{prefix}attn.in_proj_weight': (3 * dims, dims),
            f'{prefix}attn.in_proj_bias': (3 * dims,),
            f'{prefix}attn.out_proj.weight': (dims, dims),
            f'{prefix}attn.out_proj.bias': (dims,),
            f'{prefix}ln_1.weight': (dims,),
            f'{prefix}ln_1.bias': (dims,),
            f'{prefix}mlp.c_fc.weight': (4 * dims, dims),
            f'{prefix}mlp.c_fc.bias': (4 * dims,),
            f'{prefix}mlp.c_proj.weight': (dims, 4 * dims),
            f'{prefix}mlp.c_proj.bias': (dims,),
            f'{prefix}ln_2.weight': (dims,),
            f'{prefix}ln_2.bias': (dims,),
        }

    shapes = {
        f'{tower}class_embedding': (width,),
        f'{tower}positional_embedding': (tokens, width),
        f'{tower}proj': (width, text),
        f'{tower}conv1.weight': (width, 3, patch, patch),
        f'{tower}ln_pre.weight': (width,),
        f'{tower}ln_pre.bias': (width,),
        f'{tower}ln_post.weight': (width,),
        f'{tower}ln_post.bias': (width,),
    }
    for i in range(blocks):
        shapes.update(block(f'{tower}transformer.resblocks.{i}.', width))
    if tower:  # the text tower stands beside it, its names without a prefix
        shapes.update(
            {
                'positional_embedding': (77, text),
                'text_projection': (text, text),
                'logit_scale': (),
                'token_embedding.weight': (100, text),
                'ln_final.weight': (text,),
                'ln_final.bias': (text,),
                **block('transformer.resblocks.0.', text),
            }
        )
    generator = None if device == 'meta' else torch.Generator().manual_seed(0)
    return {key: 0.2 * torch.randn(shape, generator=generator, device=device) for key, shape in shapes.items()}


def image_encoder(width=64, blocks=2, img_size=16, patch=4, heads=4, init_cfg=None):
    return MODELS.build(
        dict(
            type='ViTImageEncoder',
            backbone=dict(
                type='mmpretrain.VisionTransformer',
                arch=dict(embed_dims=width, num_layers=blocks, num_heads=heads, feedforward_channels=4 * width),
                img_size=img_size,
                patch_size=patch,
                out_type='raw',
                pre_norm=True,
                final_norm=True,
                norm_cfg=dict(type='LN', eps=1e-5),
                patch_cfg=dict(bias=False),
                layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU')),
            ),
            init_cfg=init_cfg,
        )
    )


def image_inputs(images):
    ids = torch.zeros(len(images), 2, dtype=torch.long)
    return VLInputs(images, ids, torch.ones_like(ids, dtype=torch.bool), torch.ones_like(ids, dtype=torch.bool))


def clip_forward(state, images, blocks=2, heads=4, tower='visual.'):
    """CLIP's image tower up to ln_post on all tokens, without the projection."""

    def p(name):
        return state[tower + name]

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], p(f'{name}.weight'), p(f'{name}.bias'), 1e-5)

    x = F.conv2d(images, p('conv1.weight'), stride=p('conv1.weight').shape[-1]).flatten(2).transpose(1, 2)
    x = torch.cat([p('class_embedding').expand(len(x), 1, -1), x], dim=1) + p('positional_embedding')
    x = norm(x, 'ln_pre').transpose(0, 1)
    for i in range(blocks):
        block = f'transformer.resblocks.{i}.'
        y = norm(x, block + 'ln_1')
        y, _ = F.multi_head_attention_forward(
            y,
            y,
            y,
            x.shape[-1],
            heads,
            p(block + 'attn.in_proj_weight'),
            p(block + 'attn.in_proj_bias'),
            None,
            None,
            False,
            0.0,
            p(block + 'attn.out_proj.weight'),
            p(block + 'attn.out_proj.bias'),
        )
        x = x + y
        y = F.linear(norm(x, block + 'ln_2'), p(block + 'mlp.c_fc.weight'), p(block + 'mlp.c_fc.bias'))
        y = y * torch.sigmoid(1.702 * y)
        x = x + F.linear(y, p(block + 'mlp.c_proj.weight'), p(block + 'mlp.c_proj.bias'))
    return norm(x.transpose(0, 1), 'ln_post')


@pytest.mark.parametrize('tower', ['visual.', ''])
def test_clip_forward_equals_plain_reference(tmp_path, tower):
    state = clip_state(tower=tower)
    torch.save(state, tmp_path / 'clip.pth')
    encoder = image_encoder(init_cfg=dict(type='CLIPPretrained', checkpoint=str(tmp_path / 'clip.pth')))
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = clip_forward(state, images, tower=tower)
    encoder.train(False)
    assert not torch.allclose(encoder(image_inputs(images)), expected, atol=1e-2)

    encoder.init_weights()

    torch.testing.assert_close(encoder(image_inputs(images)), expected, atol=1e-5, rtol=1e-5)


def test_clip_names_and_shapes_at_full_size():
    with torch.device('meta'):
        target = image_encoder(768, 12, 256, 16, 12).state_dict()
    state = clip_state(768, 12, 197, 16, 'meta')
    converted = convert(state, clip_vit_names(state), target, 'clip')
    assert {k: v.shape for k, v in converted.state_dict.items()} == {k: v.shape for k, v in target.items()}
    assert converted.missing == []
    assert 'visual.proj' in converted.unused and 'positional_embedding' in converted.unused
    assert not any(key.startswith('visual.') for key in converted.unused if key != 'visual.proj')


def test_surplus_and_absent_blocks_are_listed(tmp_path, log):
    save_file(clip_state(blocks=3, tower=''), tmp_path / 'clip.safetensors')
    CLIPPretrained(str(tmp_path / 'clip.safetensors'))(image_encoder(blocks=2))
    assert [line for line in log if 'unused keys' in line and 'resblocks.2.ln_1.weight' in line and ' proj' in line]
    assert not any('missing' in line for line in log)

    CLIPPretrained(str(tmp_path / 'clip.safetensors'))(image_encoder(blocks=4))
    assert [line for line in log if '12 missing keys' in line and 'backbone.layers.3.ln1.weight' in line]


def test_half_precision_file_loads_as_float32(tmp_path):
    torch.save({k: v.half() for k, v in clip_state().items()}, tmp_path / 'clip.pth')
    encoder = image_encoder()
    CLIPPretrained(tmp_path / 'clip.pth')(encoder)
    assert encoder.backbone.cls_token.dtype == torch.float32
    assert torch.equal(encoder.backbone.cls_token[0, 0], clip_state()['visual.class_embedding'].half().float())


@pytest.mark.parametrize('grid', [14, 18])
def test_position_resize_keeps_cls_and_a_constant_grid(grid):
    position = torch.cat([torch.full((1, 8), 5.0), torch.full((grid**2, 8), 2.0)])
    target = {'backbone.pos_embed': torch.empty(1, 257, 8)}
    names = {'positional_embedding': 'backbone.pos_embed'}
    resized = convert({'positional_embedding': position}, names, target, 'f').state_dict['backbone.pos_embed']
    assert torch.equal(resized[0, 0], position[0])
    torch.testing.assert_close(resized[0, 1:], torch.full((256, 8), 2.0))


def test_position_resize_keeps_rows_and_columns_apart():
    rows = torch.arange(14.0).repeat_interleave(14)  # grows downwards only
    columns = torch.arange(14.0).repeat(14)  # grows rightwards only
    position = torch.cat([torch.zeros(1, 2), torch.stack([rows, columns], dim=1)])
    target = {'pos_embed': torch.empty(1, 257, 2)}
    grid = convert({'p': position}, {'p': 'pos_embed'}, target, 'f').state_dict['pos_embed'][0, 1:].view(16, 16, 2)
    torch.testing.assert_close(grid[..., 0], grid[:, :1, 0].expand(16, 16))
    torch.testing.assert_close(grid[..., 1], grid[..., 0].T)
    assert (grid[1:, 0, 0] > grid[:-1, 0, 0]).all()


def test_wrong_shape_names_key_and_both_shapes(tmp_path):
    state = clip_state()
    state['visual.transformer.resblocks.1.mlp.c_fc.bias'] = torch.zeros(7)
    torch.save(state, tmp_path / 'clip.pth')
    with pytest.raises(ValueError, match=r'resblocks\.1\.mlp\.c_fc\.bias → .*shape \(7,\), the model needs \(256,\)'):
        CLIPPretrained(tmp_path / 'clip.pth')(image_encoder())


@pytest.mark.parametrize('shape', [(16, 64), (17, 32)])  # no [CLS] beside a square grid; other channels
def test_position_of_wrong_shape_is_refused(shape):
    target = {'backbone.pos_embed': torch.empty(1, 26, 64)}
    state = {'positional_embedding': torch.zeros(shape)}
    with pytest.raises(ValueError, match='positional_embedding'):
        convert(state, clip_vit_names(state), target, 'f')


def test_nothing_matching_is_an_error(tmp_path):
    torch.save({'a.weight': torch.zeros(2)}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='no key fits.*a.weight.*backbone.cls_token'):
        CLIPPretrained(tmp_path / 'other.pth')(image_encoder())


# Reading


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_malicious_pickle_is_refused_and_not_run(tmp_path):
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'x': Malicious(tmp_path / 'pwned')}, tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match='bad.pth.*other objects than tensors'):
        read_state_dict(tmp_path / 'bad.pth')
    with open(tmp_path / 'raw.pth', 'wb') as file:
        pickle.dump(Malicious(tmp_path / 'pwned'), file, protocol=2)
    with pytest.raises(ValueError, match='raw.pth'):
        read_state_dict(tmp_path / 'raw.pth')
    assert not (tmp_path / 'pwned').exists()


class Call:
    """Unpickles to a call."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ('call', 'named'),
    [
        (Call(os.mkdir, 'ran'), f'{os.name}.mkdir'),
        (Call(os.system, 'touch ran'), f'{os.name}.system'),
        (Call(eval, "open('ran', 'w')"), 'eval'),
        (Call(getattr, torch.Tensor, 'numpy'), 'torch.Tensor.numpy'),
        (Call(getattr, HistoryBuffer, '__init__'), r'mmengine\.logging\.history_buffer\.HistoryBuffer\.__init__'),
    ],
)
def test_a_refusal_names_what_is_not_allowed(tmp_path, monkeypatch, call, named):
    """Not what MMEngine writes and what is allowed; ``getattr``, which MMEngine allows, only for its log."""
    monkeypatch.chdir(tmp_path)
    log = HistoryBuffer()
    log.update(1.0)
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'message_hub': log, 'x': call}, 'bad.pth')
    with pytest.raises(ValueError, match=rf'bad.pth: .*it could run code: {named}\. '):
        read_state_dict('bad.pth')
    with pytest.raises(ValueError, match=rf'it could run code: {named}\. '), safe_checkpoints():
        CheckpointLoader.load_checkpoint('bad.pth', map_location='cpu')
    assert not (tmp_path / 'ran').exists()


def test_outside_of_it_mmengine_reads_as_ever(tmp_path):
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'x': 3}, tmp_path / 'a.pth')
    with safe_checkpoints():
        inside = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert inside['x'] == CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))['x'] == 3
    with pytest.raises(FileNotFoundError):  # ours raises ValueError
        CheckpointLoader.load_checkpoint(str(tmp_path / 'none.pth'))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_nan_is_not_converted(value):
    clip = clip_state()
    clip['visual.ln_pre.bias'][3] = value
    encoder = image_encoder()
    with pytest.raises(ValueError, match=r'clip: 1 tensors hold NaN or infinity: backbone\.pre_norm\.bias'):
        convert(clip, clip_vit_names(clip), encoder.state_dict(), 'clip')


@pytest.mark.filterwarnings('ignore:.torch.jit:FutureWarning')
def test_torchscript_archive_is_refused(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / 'jit.pt')
    with pytest.raises(ValueError, match='TorchScript'):
        read_state_dict(tmp_path / 'jit.pt')


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / 'text.pth').write_text('<html>not found</html>')
    (tmp_path / 'text.safetensors').write_text('<html>not found</html>')
    (tmp_path / 'empty.pth').write_bytes(b'')
    torch.save({'a': torch.ones(1000)}, tmp_path / 'flipped.pth')
    whole = bytearray((tmp_path / 'flipped.pth').read_bytes())
    (tmp_path / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'start.pth').write_bytes(whole[:3])
    whole[2000] ^= 1  # within the tensor: PyTorch itself reads another number
    (tmp_path / 'flipped.pth').write_bytes(whole)
    with zipfile.ZipFile(tmp_path / 'zip.pth', 'w') as archive:
        archive.writestr('notes.txt', 'x')
    torch.save({'a': torch.ones(1000)}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    (tmp_path / 'old.pth').write_bytes((tmp_path / 'old.pth').read_bytes()[:-9])
    torch.save({'epoch': 3}, tmp_path / 'epoch.pth')
    torch.save([torch.zeros(1)], tmp_path / 'list.pth')
    for name, message in [
        ('none.pth', 'no such file'),
        ('text.pth', "it is no file of weights; it begins with b'<html>not found"),
        ('empty.pth', r'it is empty \(0 bytes\)'),
        ('cut.pth', 'it is cut off or damaged'),
        ('start.pth', 'it is cut off or damaged'),
        ('flipped.pth', r'its part flipped/data/0 is damaged \(checksum\)'),
        ('zip.pth', 'it is a zip archive, but not of PyTorch; it holds notes.txt'),
        ('old.pth', 'it is damaged, or no file of weights: unexpected EOF'),
        ('text.safetensors', 'not a readable safetensors file'),
        ('epoch.pth', 'not tensors: epoch'),
        ('list.pth', 'no state dict'),
    ]:
        with pytest.raises(ValueError, match=f'{name}: .*{message}'):
            read_state_dict(tmp_path / name)


# Hugging Face

SIZES = dict(
    vocab_size=50,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=20,
)
HF = {
    'roberta': (RobertaConfig(**SIZES, type_vocab_size=1), RobertaModel, RobertaForMaskedLM),
    'bert': (BertConfig(**SIZES), BertModel, BertForMaskedLM),
}


def text_encoder(config, **changes):
    fields = {f: getattr(config, f) for f in ('model_type', 'type_vocab_size', *SIZES)}
    return MODELS.build(dict(type='HFTextEncoder', config={**fields, **changes}))


def save_hf(kind, folder, masked_lm=False, **kwargs):
    config, model, head = HF[kind]
    torch.manual_seed(0)
    model = (head if masked_lm else model)(config).eval()
    for p in model.parameters():  # biases and norms too, which start at 0 and 1
        p.data.normal_(std=0.2)
    model.save_pretrained(folder, **kwargs)
    return getattr(model, kind) if masked_lm else model


def text_inputs():
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    ids = torch.randint(5, 50, (2, 6), generator=torch.Generator().manual_seed(2)).masked_fill(~mask, 0)
    return VLInputs(None, ids, mask, mask)


def assert_same_output(encoder, model):
    inputs = text_inputs()
    ids = inputs.input_ids.masked_fill(~inputs.attention_mask, model.config.pad_token_id)
    expected = model(input_ids=ids, attention_mask=inputs.attention_mask).last_hidden_state
    found = encoder.eval()(inputs)
    mask = inputs.attention_mask
    torch.testing.assert_close(found[mask], expected[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('kind', HF)
@pytest.mark.parametrize('masked_lm', [False, True])
@pytest.mark.parametrize('safe', [True, False])
@pytest.mark.parametrize('shard', ['5GB', '20KB'])
def test_hf_folder_forward_equals_transformers(tmp_path, log, kind, masked_lm, safe, shard):
    model = save_hf(kind, tmp_path, masked_lm, safe_serialization=safe, max_shard_size=shard)
    assert (tmp_path / ('model.safetensors' if safe else 'pytorch_model.bin')).exists() == (shard == '5GB')
    encoder = text_encoder(model.config)
    HFPretrained(str(tmp_path))(encoder)
    assert_same_output(encoder, model)
    assert not any('missing' in line for line in log)
    head = (
        {'roberta': 'lm_head.dense.weight', 'bert': 'cls.predictions.bias'}[kind] if masked_lm else 'pooler.dense.bias'
    )
    assert any('unused keys' in line and head in line for line in log)


def test_hf_old_layer_norm_names(tmp_path):
    model = save_hf('bert', tmp_path, True, safe_serialization=False)
    state = torch.load(tmp_path / 'pytorch_model.bin', weights_only=True)
    old = {
        k.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'): v
        for k, v in state.items()
    }
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / 'pytorch_model.bin')
    encoder = text_encoder(model.config)
    HFPretrained(tmp_path)(encoder)
    assert_same_output(encoder, model)


@pytest.mark.parametrize('field, value', [('vocab_size', 51), ('hidden_size', 64), ('num_hidden_layers', 3)])
def test_hf_folder_of_another_model_is_refused(tmp_path, field, value):
    model = save_hf('roberta', tmp_path)
    with pytest.raises(ValueError, match=rf'{field} is {SIZES[field]} in the folder, {value} in the config'):
        HFPretrained(tmp_path)(text_encoder(model.config, **{field: value}))


def test_hf_wrong_shape_names_key_and_both_shapes(tmp_path):
    model = save_hf('roberta', tmp_path)
    state = read_hf_weights(tmp_path)
    state['embeddings.word_embeddings.weight'] = torch.zeros(51, 32)
    save_file(state, tmp_path / 'model.safetensors')
    with pytest.raises(ValueError, match=r'embeddings\.word_embeddings\.weight.*\(51, 32\).*\(50, 32\)'):
        HFPretrained(tmp_path)(text_encoder(model.config))


def test_hf_folder_failures(tmp_path):
    encoder = text_encoder(HF['roberta'][0])
    with pytest.raises(FileNotFoundError, match=r'config\.json: no such file'):
        HFPretrained(tmp_path)(encoder)
    (tmp_path / 'config.json').write_text('{}')
    with pytest.raises(ValueError, match='no weights; expected one of model.safetensors'):
        HFPretrained(tmp_path)(encoder)
    (tmp_path / 'pytorch_model.bin.index.json').write_text(json.dumps(dict(weight_map={'a': 'gone.bin'})))
    with pytest.raises(ValueError, match=r'gone\.bin: no such file'):
        HFPretrained(tmp_path)(encoder)


def test_hf_names():
    keys = [
        'roberta.embeddings.LayerNorm.gamma',
        'bert.encoder.layer.0.output.dense.bias',
        'lm_head.bias',
        'pooler.bias',
    ]
    assert hf_text_names(keys) == {
        'roberta.embeddings.LayerNorm.gamma': 'model.embeddings.LayerNorm.weight',
        'bert.encoder.layer.0.output.dense.bias': 'model.encoder.layer.0.output.dense.bias',
    }


# Both through the config of a model


def test_init_cfg_through_the_detector(tmp_path):
    clip = clip_state(tokens=10)  # 3x3, resized to 4x4
    torch.save(clip, tmp_path / 'clip.pth')
    text = save_hf('roberta', tmp_path / 'text')
    image = dict(
        type='ViTImageEncoder',
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(embed_dims=64, num_layers=2, num_heads=4, feedforward_channels=256),
            img_size=16,
            patch_size=4,
            out_type='raw',
            pre_norm=True,
            patch_cfg=dict(bias=False),
        ),
        init_cfg=dict(type='CLIPPretrained', checkpoint=str(tmp_path / 'clip.pth')),
    )
    model = MODELS.build(
        dict(
            type='ManipulationDetector',
            image_encoder=image,
            text_encoder=dict(
                type='HFTextEncoder',
                config=dict(model_type='roberta', type_vocab_size=1, **SIZES),
                init_cfg=dict(type='HFPretrained', folder=str(tmp_path / 'text')),
            ),
            neck=dict(
                type='DCANeck',
                image_dims=64,
                text_dims=32,
                embed_dims=16,
                num_heads=2,
                ffn_dims=16,
                num_image_layers=1,
                num_text_layers=1,
            ),
            binary_head=dict(type='BinaryHead', in_dims=16, hidden_dims=16),
            type_head=dict(type='DFCHead', in_dims=16, hidden_dims=16),
            token_head=dict(type='IMQTokenHead', in_dims=16, num_heads=2, reduced_dims=8),
        )
    )
    model.init_weights()

    backbone = model.image_encoder.backbone
    assert torch.equal(backbone.layers[1].attn.qkv.weight, clip['visual.transformer.resblocks.1.attn.in_proj_weight'])
    assert torch.equal(backbone.pos_embed[0, 0], clip['visual.positional_embedding'][0])
    assert_same_output(model.text_encoder, text)
