"""ALBEF's checkpoint: names and shapes at full size, forward equality at reduced size."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint

from mmvlforge.models.weights import albef_names, convert
from mmvlforge.models.weights.checkpoint_files import meta_state_dict
from mmvlforge.models.weights.published import convert_albef
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs

init_default_scope('mmvlforge')


def albef_shapes(
    width=768, vit=12, text=12, fusion=6, vocab=30522, length=512, tokens=257, patch=16, dims=256, queue=65536,
    finetuned=False,
):  # fmt: skip
    """Names and shapes of ALBEF as pre-trained at 256 pixels; fine-tuned for retrieval it has no text head."""
    shapes = {}

    def linear(name, out, into):
        shapes.update({f'{name}.weight': (out, into), f'{name}.bias': (out,)})

    def norm(name):
        shapes.update({f'{name}.weight': (width,), f'{name}.bias': (width,)})

    def output(name, into):
        linear(f'{name}.dense', width, into)
        norm(f'{name}.LayerNorm')

    for m in ('', '_m'):
        vision, bert = f'visual_encoder{m}.', f'text_encoder{m}.' + ('' if finetuned else 'bert.')
        shapes[vision + 'cls_token'] = (1, 1, width)
        shapes[vision + 'pos_embed'] = (1, tokens, width)
        shapes[vision + 'patch_embed.proj.weight'] = (width, 3, patch, patch)
        shapes[vision + 'patch_embed.proj.bias'] = (width,)
        for i in range(vit):
            block = f'{vision}blocks.{i}.'
            norm(block + 'norm1')
            linear(block + 'attn.qkv', 3 * width, width)
            linear(block + 'attn.proj', width, width)
            norm(block + 'norm2')
            linear(block + 'mlp.fc1', 4 * width, width)
            linear(block + 'mlp.fc2', width, 4 * width)
        norm(vision + 'norm')

        shapes[bert + 'embeddings.position_ids'] = (1, length)
        shapes[bert + 'embeddings.word_embeddings.weight'] = (vocab, width)
        shapes[bert + 'embeddings.position_embeddings.weight'] = (length, width)
        shapes[bert + 'embeddings.token_type_embeddings.weight'] = (2, width)
        norm(bert + 'embeddings.LayerNorm')
        for i in range(text):
            layer = f'{bert}encoder.layer.{i}.'
            for attention in ('attention', 'crossattention') if i >= fusion else ('attention',):
                for part in ('query', 'key', 'value'):
                    linear(f'{layer}{attention}.self.{part}', width, width)
                output(f'{layer}{attention}.output', width)
            linear(layer + 'intermediate.dense', 4 * width, width)
            output(layer + 'output', 4 * width)
        if not finetuned:
            head = f'text_encoder{m}.cls.predictions.'
            shapes[head + 'bias'] = (vocab,)
            linear(head + 'transform.dense', width, width)
            norm(head + 'transform.LayerNorm')
            linear(head + 'decoder', vocab, width)
        linear(f'vision_proj{m}', dims, width)
        linear(f'text_proj{m}', dims, width)
    shapes.update(temp=(), image_queue=(dims, queue), text_queue=(dims, queue), queue_ptr=(1,))
    if finetuned:
        shapes['idx_queue'] = (1, queue)
    linear('itm_head', 2, width)
    return shapes


def model_config(width=768, heads=12, layers=12, cross=6, vocab=30522, length=512, size=256, patch=16, dims=256, **kw):
    arch = dict(embed_dims=width, num_layers=kw.get('vit', 12), num_heads=heads, feedforward_channels=4 * width)
    return dict(
        type='DualEncoder',
        image_encoder=dict(
            type='MultiLevelViT',
            backbone=dict(
                type='mmpretrain.VisionTransformer', arch=arch, img_size=size, patch_size=patch, out_type='raw',
                out_indices=list(range(arch['num_layers'])),
            ),
        ),
        text_encoder=dict(
            type='BertTextEncoder', vocab_size=vocab, embed_dims=width, num_layers=layers, num_heads=heads,
            ffn_dims=4 * width, max_length=length, num_cross_layers=cross,
        ),
        contrastive_head=dict(type='ContrastiveHead', embed_dims=dims, queue_size=kw.get('queue', 65536)),
        image_dims=width, text_dims=width, embed_dims=dims,
    )  # fmt: skip


@pytest.mark.parametrize('finetuned, tokens', [(False, 257), (True, 577)])
def test_names_and_shapes_at_full_size(finetuned, tokens):
    shapes = albef_shapes(tokens=tokens, finetuned=finetuned)
    source = {key: torch.empty(shape, device='meta') for key, shape in shapes.items()}
    target = meta_state_dict(model_config())

    converted = convert(source, albef_names(source), target, 'albef')

    run = ('contrastive_head.image_queue', 'contrastive_head.text_queue', 'contrastive_head.id_queue')
    run += ('contrastive_head.next_key', 'contrastive_head.steps')
    new = [name for name in target if name in run or '.cross_' in name]  # ALBEF's layers 0 to 5 have none
    assert converted.missing == new
    assert len(converted.state_dict) == len(target) - len(new)
    assert {name: v.shape for name, v in converted.state_dict.items()} == {
        name: target[name].shape for name in converted.state_dict
    }
    dropped = ('image_queue', 'text_queue', 'queue_ptr', 'idx_queue', 'itm_head.')
    for key in converted.unused:
        assert key.startswith(dropped) or 'position_ids' in key or '.crossattention.' in key or '.cls.' in key
    assert sum('.crossattention.' in key for key in converted.unused) == 2 * 6 * 10


def test_cross_attention_is_taken_where_both_have_it():
    with_cross = albef_names(albef_shapes())
    assert with_cross['text_encoder.bert.encoder.layer.6.crossattention.self.key.weight'] == (
        'text_encoder.layers.6.cross_attn.key.weight'
    )
    assert with_cross['text_encoder_m.bert.encoder.layer.11.crossattention.output.LayerNorm.bias'] == (
        'momentum.text_encoder.layers.11.cross_norm.bias'
    )
    assert not any('queue' in key or 'itm' in key or '.cls.' in key for key in with_cross)


# Reduced: 64 channels, ALBEF of 2 text and 2 fusion layers, of which the model has the former.

SMALL = dict(width=64, vit=2, text=4, fusion=2, vocab=50, length=20, tokens=17, patch=4, dims=16, queue=8)
MODEL = dict(width=64, heads=4, layers=2, cross=0, vocab=50, length=20, size=16, patch=4, dims=16, vit=2, queue=8)


def albef_state(**changes):
    generator = torch.Generator().manual_seed(0)
    return {k: 0.2 * torch.randn(s, generator=generator) for k, s in albef_shapes(**{**SMALL, **changes}).items()}


def albef_features(state, images, ids, mask, bert='text_encoder.bert.', layers=2, heads=4, m=''):
    """ALBEF's features for the contrastive loss: [CLS] of the ViT and of the text layers below the fusion."""

    def norm(x, name, eps):
        return F.layer_norm(x, x.shape[-1:], state[f'{name}.weight'], state[f'{name}.bias'], eps)

    def linear(x, name):
        return F.linear(x, state[f'{name}.weight'], state[f'{name}.bias'])

    def attend(q, k, v, mask=None):
        q, k, v = (t.view(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k, v))
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores + (1 - mask[:, None, None].float()) * -10000.0
        return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)

    v = f'visual_encoder{m}.'
    weight = state[v + 'patch_embed.proj.weight']
    x = F.conv2d(images, weight, state[v + 'patch_embed.proj.bias'], stride=weight.shape[-1]).flatten(2).transpose(1, 2)
    x = torch.cat([state[v + 'cls_token'].expand(len(x), -1, -1), x], dim=1) + state[v + 'pos_embed']
    for i in range(2):
        block = f'{v}blocks.{i}.'
        x = x + linear(
            attend(*linear(norm(x, block + 'norm1', 1e-6), block + 'attn.qkv').chunk(3, -1)), block + 'attn.proj'
        )
        x = x + linear(F.gelu(linear(norm(x, block + 'norm2', 1e-6), block + 'mlp.fc1')), block + 'mlp.fc2')
    image = F.normalize(linear(norm(x, v + 'norm', 1e-6)[:, 0], f'vision_proj{m}'), dim=-1)

    bert = bert.replace('text_encoder.', f'text_encoder{m}.')
    embed = bert + 'embeddings.'
    x = state[embed + 'word_embeddings.weight'][ids] + state[embed + 'token_type_embeddings.weight'][0]
    x = norm(x + state[embed + 'position_embeddings.weight'][: ids.shape[1]], embed + 'LayerNorm', 1e-12)
    for i in range(layers):
        layer = f'{bert}encoder.layer.{i}.'
        heard = attend(*(linear(x, f'{layer}attention.self.{part}') for part in ('query', 'key', 'value')), mask)
        x = norm(linear(heard, layer + 'attention.output.dense') + x, layer + 'attention.output.LayerNorm', 1e-12)
        hidden = F.gelu(linear(x, layer + 'intermediate.dense'))
        x = norm(linear(hidden, layer + 'output.dense') + x, layer + 'output.LayerNorm', 1e-12)
    return image, F.normalize(linear(x[:, 0], f'text_proj{m}'), dim=-1)


def batch():
    generator = torch.Generator().manual_seed(1)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    ids = torch.randint(5, 50, (2, 6), generator=generator).masked_fill(~mask, 0)
    return VLInputs(torch.randn(2, 3, 16, 16, generator=generator), ids, mask, mask)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text(f"default_scope = 'mmvlforge'\nmodel = {model_config(**MODEL)!r}\n")
    return str(path)


@pytest.mark.parametrize('finetuned', [False, True])
def test_converted_features_equal_albef(tmp_path, config, finetuned):
    state = albef_state(finetuned=finetuned)
    torch.save({'model': state, 'optimizer': {}, 'config': dict(embed_dim=16), 'epoch': 29}, tmp_path / 'ALBEF.pth')
    out = tmp_path / 'new' / 'out.pth'

    lines = convert_albef(str(tmp_path / 'ALBEF.pth'), str(out), config)

    printed = '\n'.join(lines)
    assert printed.endswith(f'\nwritten: {out}')
    assert 'itm_head.weight' in printed and 'contrastive_head.id_queue' in printed and 'NOT EXPECTED' not in printed
    # No part of a dual encoder begins anew: contrastive_head has the temperature.
    assert torch.load(out, weights_only=True)['meta']['left_empty'] == []
    model = MODELS.build(Config.fromfile(config).model).eval()
    load_checkpoint(model, str(out), map_location='cpu')
    assert torch.equal(model.contrastive_head.temperature, state['temp'])
    inputs = batch()
    for momentum, m in ((False, ''), (True, '_m')):
        bert = 'text_encoder.' if finetuned else 'text_encoder.bert.'
        image, text = albef_features(state, *inputs[:3], bert=bert, m=m)
        with torch.no_grad():
            found = model.extract_feat(inputs, momentum)
        torch.testing.assert_close(found.image, image, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.text, text, atol=1e-5, rtol=1e-5)


def test_position_embedding_of_another_grid_is_resized(tmp_path, config):
    state = albef_state(tokens=10)
    torch.save({'model': state}, tmp_path / 'ALBEF.pth')
    convert_albef(str(tmp_path / 'ALBEF.pth'), str(tmp_path / 'out.pth'), config)
    resized = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    for name, key in (('', ''), ('momentum.', '_m')):
        found = resized[f'{name}image_encoder.backbone.pos_embed']
        assert found.shape == (1, 17, 64)
        assert torch.equal(found[:, 0], state[f'visual_encoder{key}.pos_embed'][:, 0])


def test_not_an_albef_file_names_the_missing_groups(tmp_path, config):
    state = {k: v for k, v in albef_state().items() if k.startswith(('text_', 'itm_head'))}
    torch.save({'model': state}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'not an ALBEF checkpoint: no keys visual_encoder\.\*, vision_proj\.\*$'):
        convert_albef(str(tmp_path / 'other.pth'), str(tmp_path / 'out.pth'), config)
    assert not (tmp_path / 'out.pth').exists()


def test_wrong_shape_names_the_key(tmp_path, config):
    torch.save({'model': albef_state(vocab=51)}, tmp_path / 'ALBEF.pth')
    with pytest.raises(ValueError, match=r'text_encoder\.bert\.embeddings\.word_embeddings\.weight .*\(51, 64\)'):
        convert_albef(str(tmp_path / 'ALBEF.pth'), str(tmp_path / 'out.pth'), config)
