"""Uni-modal encoders: what goes in, what comes out, and what must not get through."""

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from mmvlforge.models.encoders import (
    ConvImageEncoder,
    HFTextEncoder,
    NullImageEncoder,
    NullTextEncoder,
    ViTImageEncoder,
)
from mmvlforge.structures import VLInputs

TEXT_FIELDS = dict(
    vocab_size=40,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=30,
)


def inputs_of(images=None, lengths=(7, 4), padding_id=0):
    """Captions of the given lengths; padding as the data preprocessor leaves it."""
    generator = torch.Generator().manual_seed(1)
    longest = max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    ids = torch.randint(5, 40, (len(lengths), longest), generator=generator).masked_fill(~mask, padding_id)
    return VLInputs(images, ids, mask, mask)


def randomise(module, std=0.2):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=std, generator=generator)
    module.eval()
    return module


def vit(**kwargs):
    backbone = dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=48),
        img_size=16,
        patch_size=8,
        out_type='raw',
        pre_norm=True,
        layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU')),
    )
    return ViTImageEncoder({**backbone, **kwargs})


def test_vit_returns_all_tokens_after_the_last_norm():
    encoder = randomise(vit())
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        tokens = encoder(inputs_of(images))
        net = encoder.backbone
        # 2 x 2 patches, row by row, each flattened to channel, row, column.
        patches = images.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).reshape(2, 4, 192)
        x = patches @ net.patch_embed.projection.weight.flatten(1).T
        assert net.patch_embed.projection.bias is None
        x = net.pre_norm(torch.cat([net.cls_token.expand(2, -1, -1), x], dim=1) + net.pos_embed)
        for layer in net.layers:
            x = layer(x)
        torch.testing.assert_close(tokens, net.ln1(x), atol=1e-4, rtol=0)
        assert tokens.shape == (2, 5, 32)
        nn.init.ones_(net.ln1.weight), nn.init.zeros_(net.ln1.bias)
        normed = encoder(inputs_of(images))
    torch.testing.assert_close(normed.mean(dim=-1), torch.zeros(2, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.std(dim=-1, correction=0), torch.ones(2, 5), atol=1e-3, rtol=0)


def test_vit_starts_with_its_backbones_own_initialisation():
    encoder = vit()
    assert encoder.backbone.pos_embed.abs().sum() == 0
    encoder.init_weights()
    assert encoder.backbone.pos_embed.std().item() == pytest.approx(0.02, rel=0.3)
    assert encoder.is_init


def test_conv_encoder_lays_out_cells_row_by_row_after_cls():
    encoder = ConvImageEncoder(embed_dims=16, num_patches=6, channels=(8, 16, 64), strides=(8, 2, 2)).eval()
    nn.init.normal_(encoder.cls_token)
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        tokens = encoder(inputs_of(images))
        feature_map = encoder.layers(images)
        assert tokens.shape == (2, 7, 16) and feature_map.shape == (2, 64, 2, 3)
        for cell, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]):
            x = encoder.proj(feature_map[:, :, row, column]) + encoder.pos_embed[:, 1 + cell]
            torch.testing.assert_close(tokens[:, 1 + cell], encoder.norm(x), atol=1e-5, rtol=0)
        cls = encoder.cls_token[:, 0] + encoder.proj(feature_map.mean(dim=(2, 3)))
        torch.testing.assert_close(tokens[:, 0], encoder.norm(cls + encoder.pos_embed[:, 0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    'model_type, config_class, model_class, padding_id',
    [('roberta', RobertaConfig, RobertaModel, 1), ('bert', BertConfig, BertModel, 0)],
)
def test_text_encoder_equals_transformers_with_its_own_padding_id(model_type, config_class, model_class, padding_id):
    encoder = randomise(HFTextEncoder(dict(TEXT_FIELDS, model_type=model_type)))
    reference = model_class(config_class(**TEXT_FIELDS), add_pooling_layer=False).eval()
    reference.load_state_dict(encoder.model.state_dict())
    assert encoder.model.config.pad_token_id == padding_id
    # The batch comes padded with 0, with 1 or with an ordinary token's id: all the same.
    theirs = inputs_of(padding_id=padding_id)
    with torch.no_grad():
        expected = reference(input_ids=theirs.input_ids, attention_mask=theirs.attention_mask.long())[0]
        for padding in (0, 1, 17):
            actual = encoder(inputs_of(padding_id=padding))
            torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)
    assert actual.shape == (2, 7, 32)


@pytest.mark.parametrize('model_type', ['roberta', 'bert'])
def test_text_encoder_never_reads_padding(model_type):
    encoder = randomise(HFTextEncoder(dict(TEXT_FIELDS, model_type=model_type)))
    inputs = inputs_of()
    row = VLInputs(None, *(t[1:, :4] for t in inputs[1:]))
    with torch.no_grad():
        torch.testing.assert_close(encoder(inputs)[1:, :4], encoder(row), atol=1e-5, rtol=0)


def test_text_encoder_checkpointing_changes_nothing():
    outputs = []
    for with_cp in (False, True):
        encoder = randomise(HFTextEncoder(dict(TEXT_FIELDS, model_type='roberta'), with_cp=with_cp)).train()
        torch.manual_seed(0)
        loss = encoder(inputs_of()).pow(3).sum()
        loss.backward()
        outputs.append([loss.detach(), *(p.grad for p in encoder.parameters())])
    assert encoder.model.is_gradient_checkpointing
    assert all(torch.equal(a, b) for a, b in zip(*outputs))


def test_text_encoder_has_no_pooler_and_runs_sdpa():
    encoder = HFTextEncoder(dict(TEXT_FIELDS, model_type='roberta'))
    assert not any('pooler' in name for name, _ in encoder.named_parameters())
    assert 'Sdpa' in type(encoder.model.encoder.layer[0].attention.self).__name__


def test_text_encoder_needs_a_model_type():
    with pytest.raises(ValueError, match=r"config needs 'model_type'.*\['hidden_size'\]"):
        HFTextEncoder(dict(hidden_size=32))


def test_null_image_encoder_carries_no_information():
    encoder = NullImageEncoder(embed_dims=16, num_patches=3)
    generator = torch.Generator().manual_seed(0)
    outputs = [encoder(inputs_of(torch.rand(2, 3, 8, 8, generator=generator))) for _ in range(2)]
    assert outputs[0].shape == (2, 4, 16)
    assert torch.equal(*outputs) and torch.equal(encoder(inputs_of(None)), outputs[0])
    assert torch.equal(outputs[0][0], outputs[0][1])


def test_null_text_encoder_carries_no_information_not_even_position():
    encoder = NullTextEncoder(embed_dims=16)
    tokens = encoder(inputs_of())
    assert tokens.shape == (2, 7, 16) and encoder(inputs_of(lengths=(3, 2))).shape == (2, 3, 16)
    assert torch.equal(tokens, tokens[:1, :1].expand_as(tokens)) and tokens.abs().sum() > 0
    assert torch.equal(encoder(inputs_of(lengths=(3, 2)))[0, 0], tokens[0, 0])
