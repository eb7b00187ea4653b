"""ImageNet ViTs of timm and DeiT: names and shapes at full size, forward equality at reduced size."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope

from mmvlforge.models.weights import conversion, convert, timm_vit_names
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs

init_default_scope('mmvlforge')


def timm_shapes(width=768, blocks=12, tokens=197, patch=16, classes=1000):
    """Names and shapes of ViT-B/16 as timm and DeiT publish it."""
    shapes = {
        'cls_token': (1, 1, width),
        'pos_embed': (1, tokens, width),
        'patch_embed.proj.weight': (width, 3, patch, patch),
        'patch_embed.proj.bias': (width,),
        'norm.weight': (width,),
        'norm.bias': (width,),
        'head.weight': (classes, width),
        'head.bias': (classes,),
    }
    for i in range(blocks):
        for name, shape in {
            'norm1': (width,), 'norm2': (width,), 'attn.qkv': (3 * width, width), 'attn.proj': (width, width),
            'mlp.fc1': (4 * width, width), 'mlp.fc2': (width, 4 * width),
        }.items():  # fmt: skip
            shapes.update({f'blocks.{i}.{name}.weight': shape, f'blocks.{i}.{name}.bias': shape[:1]})
    return shapes


def timm_forward(state, images, blocks=2, heads=4, prefix=''):
    """A pre-norm ViT as timm writes it: all tokens after the last norm, and the patches of every block."""

    def p(name):
        return state[prefix + name]

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], p(f'{name}.weight'), p(f'{name}.bias'), 1e-6)

    def linear(x, name):
        return F.linear(x, p(f'{name}.weight'), p(f'{name}.bias'))

    weight = p('patch_embed.proj.weight')
    x = F.conv2d(images, weight, p('patch_embed.proj.bias'), stride=weight.shape[-1]).flatten(2).transpose(1, 2)
    x = torch.cat([p('cls_token').expand(len(x), -1, -1), x], dim=1) + p('pos_embed')
    levels = []
    for i in range(blocks):
        b, n, c = x.shape
        qkv = linear(norm(x, f'blocks.{i}.norm1'), f'blocks.{i}.attn.qkv')
        q, k, v = qkv.reshape(b, n, 3, heads, c // heads).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-2, -1) * (c // heads) ** -0.5).softmax(dim=-1)
        x = x + linear((attention @ v).transpose(1, 2).reshape(b, n, c), f'blocks.{i}.attn.proj')
        x = x + linear(F.gelu(linear(norm(x, f'blocks.{i}.norm2'), f'blocks.{i}.mlp.fc1')), f'blocks.{i}.mlp.fc2')
        levels.append(x[:, 1:])
    return norm(x, 'norm'), levels


def random_state(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {key: 0.2 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def encoder(kind='ViTImageEncoder', width=64, blocks=2, img_size=16, patch=4, heads=4, init_cfg=None):
    arch = dict(embed_dims=width, num_layers=blocks, num_heads=heads, feedforward_channels=4 * width)
    backbone = dict(type='mmpretrain.VisionTransformer', arch=arch, img_size=img_size, patch_size=patch, out_type='raw')
    if kind == 'MultiLevelViT':
        backbone['out_indices'] = list(range(blocks))
    return MODELS.build(dict(type=kind, backbone=backbone, init_cfg=init_cfg))


def inputs(images):
    ids = torch.zeros(len(images), 2, dtype=torch.long)
    return VLInputs(images, ids, ids == 0, ids == 0)


SMALL = dict(width=64, blocks=2, tokens=17, patch=4, classes=10)


@pytest.mark.parametrize('nested', [True, False])  # DeiT's files have the weights under 'model'
def test_forward_equals_plain_reference(tmp_path, nested):
    state = random_state(timm_shapes(**SMALL))
    torch.save({'model': state} if nested else state, tmp_path / 'vit.pth')
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    tokens, levels = timm_forward(state, images)
    model = encoder(init_cfg=dict(type='ViTPretrained', checkpoint=str(tmp_path / 'vit.pth')))
    model.init_weights()
    torch.testing.assert_close(model.eval()(inputs(images)), tokens, atol=1e-5, rtol=1e-5)

    model = encoder('MultiLevelViT', init_cfg=dict(type='ViTPretrained', checkpoint=str(tmp_path / 'vit.pth')))
    model.init_weights()
    found = model.eval()(inputs(images))
    torch.testing.assert_close(found.cls, tokens[:, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.levels[0], levels[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('tokens', [197, 577])
def test_names_and_shapes_at_full_size(tokens):
    with torch.device('meta'):
        target = encoder('MultiLevelViT', 768, 12, 256, 16, 12).state_dict()
    state = {key: torch.empty(shape, device='meta') for key, shape in timm_shapes(tokens=tokens).items()}
    converted = convert(state, timm_vit_names(state), target, 'vit')
    assert {k: v.shape for k, v in converted.state_dict.items()} == {k: v.shape for k, v in target.items()}
    assert converted.missing == []
    assert converted.unused == ['head.weight', 'head.bias']


def test_distilled_model_is_refused(tmp_path):
    state = random_state(timm_shapes(**{**SMALL, 'tokens': 18}))
    state['dist_token'] = torch.zeros(1, 1, 64)
    torch.save(state, tmp_path / 'deit.pth')
    model = encoder(init_cfg=dict(type='ViTPretrained', checkpoint=str(tmp_path / 'deit.pth')))
    with pytest.raises(ValueError, match=r'pos_embed → backbone\.pos_embed: the file has shape \(1, 18, 64\)'):
        model.init_weights()


def test_what_is_left_over_is_logged(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(conversion, 'print_log', lambda line, **_: lines.append(line))
    torch.save(random_state(timm_shapes(**{**SMALL, 'blocks': 1})), tmp_path / 'vit.pth')
    encoder(init_cfg=dict(type='ViTPretrained', checkpoint=str(tmp_path / 'vit.pth'))).init_weights()
    assert any('12 missing keys' in line and 'backbone.layers.1.ln1.weight' in line for line in lines)
    assert any('unused keys of the file: head.weight, head.bias' in line for line in lines)
