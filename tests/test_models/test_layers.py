"""The transformer layer: numbers against a plain reference and against Hugging Face's BERT layer."""

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from mmvlforge.models.layers import Attention, PreNormLayer, TransformerLayer, mlp

DIMS, HEADS, MEMORY_DIMS = 32, 4, 24


def randomised(module, std=0.3, seed=0):
    """Give every parameter a value that matters: initial weights make attention nearly uniform and biases 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=std, generator=generator)
    return module.eval()


def batch():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, DIMS, generator=generator)
    memory = torch.randn(2, 7, DIMS, generator=generator)
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    memory_mask = torch.arange(7) < torch.tensor([[4], [7]])
    return x, mask, memory, memory_mask


def plain_attention(attention, x, memory, mask):
    """Eq. 2, head by head."""
    size = x.shape[-1] // HEADS
    query, key, value = attention.query(x), attention.key(memory), attention.value(memory)
    outputs = []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / size**0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, :], float('-inf'))
        outputs.append(scores.softmax(dim=-1) @ value[..., part])
    return attention.out(torch.cat(outputs, dim=-1))


def plain_norm(norm, x):
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.pow(2).mean(dim=-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def plain_layer(layer, x, mask=None, memory=None, memory_mask=None):
    x = plain_norm(layer.self_norm, x + plain_attention(layer.self_attn, x, x, mask))
    if memory is not None:
        x = plain_norm(layer.cross_norm, x + plain_attention(layer.cross_attn, x, memory, memory_mask))
    hidden = layer.fc1(x)
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    return plain_norm(layer.ffn_norm, x + layer.fc2(hidden))


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('cross', [False, True])
def test_layer_equals_plain_reference(masked, cross):
    x, mask, memory, memory_mask = batch()
    layer = randomised(TransformerLayer(DIMS, HEADS, 64, cross_attention=cross))
    arguments = (x, mask if masked else None)
    if cross:
        arguments += (memory, memory_mask if masked else None)
    with torch.no_grad():
        torch.testing.assert_close(layer(*arguments), plain_layer(layer, *arguments), atol=1e-5, rtol=0)


def test_masked_tokens_and_memory_are_never_read():
    x, mask, memory, memory_mask = batch()
    layer = randomised(TransformerLayer(DIMS, HEADS, 64, cross_attention=True))
    with torch.no_grad():
        before = layer(x, mask, memory, memory_mask)[mask]
        other_x = x.masked_fill(~mask[..., None], 9.0)
        other_memory = memory.masked_fill(~memory_mask[..., None], 9.0)
        torch.testing.assert_close(layer(other_x, mask, other_memory, memory_mask)[mask], before, atol=1e-5, rtol=0)
        # Without the masks the same change shows.
        assert (layer(other_x, None, other_memory, None)[mask] - before).abs().max() > 0.1


def test_memory_of_other_width():
    x, mask, _, memory_mask = batch()
    memory = torch.randn(2, 7, MEMORY_DIMS, generator=torch.Generator().manual_seed(2))
    layer = randomised(TransformerLayer(DIMS, HEADS, 64, cross_attention=True, memory_dims=MEMORY_DIMS))
    assert layer.cross_attn.key.weight.shape == (DIMS, MEMORY_DIMS)
    with torch.no_grad():
        expected = plain_layer(layer, x, mask, memory, memory_mask)
        torch.testing.assert_close(layer(x, mask, memory, memory_mask), expected, atol=1e-5, rtol=0)


def test_cross_attention_is_passed_over_without_memory():
    x, mask, memory, _ = batch()
    layer = randomised(TransformerLayer(DIMS, HEADS, 64, cross_attention=True))
    plain = TransformerLayer(DIMS, HEADS, 64).eval()
    missing, unexpected = plain.load_state_dict(layer.state_dict(), strict=False)
    assert not missing and all(name.startswith('cross_') for name in unexpected)
    with torch.no_grad():
        assert torch.equal(layer(x, mask), plain(x, mask))
        assert not torch.allclose(layer(x, mask, memory), plain(x, mask), atol=0.1)


def copy_to_bert(layer, bert_layer):
    parts = [(layer.self_attn, layer.self_norm, bert_layer.attention)]
    if hasattr(layer, 'cross_attn'):
        parts.append((layer.cross_attn, layer.cross_norm, bert_layer.crossattention))
    for attention, norm, theirs in parts:
        theirs.self.query.load_state_dict(attention.query.state_dict())
        theirs.self.key.load_state_dict(attention.key.state_dict())
        theirs.self.value.load_state_dict(attention.value.state_dict())
        theirs.output.dense.load_state_dict(attention.out.state_dict())
        theirs.output.LayerNorm.load_state_dict(norm.state_dict())
    bert_layer.intermediate.dense.load_state_dict(layer.fc1.state_dict())
    bert_layer.output.dense.load_state_dict(layer.fc2.state_dict())
    bert_layer.output.LayerNorm.load_state_dict(layer.ffn_norm.state_dict())


@pytest.mark.parametrize('cross', [False, True])
def test_layer_equals_hugging_face_bert(cross):
    x, mask, memory, memory_mask = batch()
    layer = randomised(TransformerLayer(DIMS, HEADS, 64, cross_attention=cross))
    config = BertConfig(
        vocab_size=9,
        hidden_size=DIMS,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        intermediate_size=64,
        is_decoder=cross,
        add_cross_attention=cross,
    )
    bert_layer = BertModel(config).eval().encoder.layer[0]
    copy_to_bert(layer, bert_layer)

    def extended(keep):  # 0 where to look, -inf elsewhere: bidirectional
        return torch.zeros(keep.shape).masked_fill(~keep, float('-inf'))[:, None, None].expand(-1, 1, x.shape[1], -1)

    ours, theirs = (x, mask), dict(attention_mask=extended(mask))
    if cross:
        ours += (memory, memory_mask)
        theirs.update(encoder_hidden_states=memory, encoder_attention_mask=extended(memory_mask))
    with torch.no_grad():
        torch.testing.assert_close(layer(*ours), bert_layer(x, **theirs)[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize('drop', [0.0, 0.3])
def test_gradient_checkpointing_changes_nothing(drop):
    x, mask, memory, memory_mask = batch()
    results = []
    for with_cp in (False, True):
        layer = TransformerLayer(DIMS, HEADS, 64, True, drop=drop, attn_drop=drop, with_cp=with_cp)
        randomised(layer).train()
        source = memory.clone().requires_grad_()
        torch.manual_seed(3)
        output = layer(x, mask, source, memory_mask)
        loss = output.pow(3).sum()
        loss.backward()
        results.append([loss.detach(), source.grad, *(p.grad for p in layer.parameters())])
    assert len(results[0]) == 28 and all(t.isfinite().all() and t.abs().sum() > 0 for t in results[0][:2])
    for without, with_ in zip(*results):
        assert torch.equal(without, with_)


@pytest.mark.parametrize('with_cp, runs', [(False, 1), (True, 2)])
def test_gradient_checkpointing_runs_the_layer_again(with_cp, runs):
    x, *_ = batch()
    layer, calls = TransformerLayer(DIMS, HEADS, 64, with_cp=with_cp), []
    layer.fc1.register_forward_hook(lambda *_: calls.append(1))
    layer(x).sum().backward()
    assert len(calls) == runs


def test_dropout_works_in_training_only():
    x, mask, memory, memory_mask = batch()
    layer = randomised(TransformerLayer(DIMS, HEADS, 64, True, drop=0.0, attn_drop=0.5))
    with torch.no_grad():
        assert torch.equal(layer(x), layer(x))
        layer.train()
        assert not torch.equal(layer(x, mask, memory, memory_mask), layer(x, mask, memory, memory_mask))


@pytest.mark.parametrize('masked', [False, True])
def test_pre_norm_layer_equals_plain_reference(masked):
    x, mask, memory, memory_mask = batch()
    mask, memory_mask = (mask, memory_mask) if masked else (None, None)
    layer = randomised(PreNormLayer(DIMS, HEADS, 64, cross_attention=True, activation='gelu_pytorch_tanh'))
    with torch.no_grad():
        normed = plain_norm(layer.self_norm, x)
        expected = x + plain_attention(layer.self_attn, normed, normed, mask)
        normed, seen = plain_norm(layer.cross_norm, expected), plain_norm(layer.memory_norm, memory)
        expected = expected + plain_attention(layer.cross_attn, normed, seen, memory_mask)
        hidden = layer.fc1(plain_norm(layer.ffn_norm, expected))
        hidden = hidden * 0.5 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (hidden + 0.044715 * hidden**3)))
        expected = expected + layer.fc2(hidden)
        torch.testing.assert_close(layer(x, mask, memory, memory_mask), expected, atol=1e-5, rtol=1e-5)


def test_causal_attention_reads_what_came_before():
    x, mask, *_ = batch()
    layer = randomised(PreNormLayer(DIMS, HEADS, 64))
    with torch.no_grad():
        whole = layer(x, causal=True)
        for length in range(1, 5):
            torch.testing.assert_close(layer(x[:, :length], causal=True), whole[:, :length], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(layer(x)[:, -1], whole[:, -1], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match='causal attention takes neither a mask nor return_weights'):
        layer(x, mask, causal=True)


def test_attention_refuses_heads_that_do_not_divide():
    with pytest.raises(ValueError, match='embed_dims 30 must be a multiple of num_heads 4'):
        Attention(30, 4)


def test_mlp_has_the_hidden_layers_asked_for():
    assert [type(m) for m in mlp(3, 5, 2, num_hidden=2)] == [nn.Linear, nn.GELU, nn.Linear, nn.GELU, nn.Linear]
    assert [tuple(p.shape) for p in mlp(3, 5, 2).parameters()] == [(5, 3), (5,), (2, 5), (2,)]
