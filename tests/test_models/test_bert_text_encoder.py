"""BERT on our layer: equal to transformers, blind to padding, and its two ways to see a picture."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from transformers import BertConfig, BertForMaskedLM, BertModel

from mmvlforge.models.encoders import BertTextEncoder
from mmvlforge.models.heads import ErrorCorrectionHead
from mmvlforge.models.weights import bert_names, mlm_head_names, pretrained
from mmvlforge.structures import VLInputs

SIZE = dict(vocab_size=40, embed_dims=32, num_layers=3, num_heads=4, ffn_dims=48, max_length=12)
THEIR_SIZE = dict(
    vocab_size=40,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=12,
)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmvlforge')


def inputs_of(lengths=(7, 4)):
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.randint(5, 40, mask.shape, generator=generator).masked_fill(~mask, 0)
    return VLInputs(None, ids, mask, mask)


def randomise(module, std=0.2):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=std, generator=generator)
    return module.eval()


@pytest.mark.parametrize('head', [BertModel, BertForMaskedLM])
def test_equals_the_bert_of_the_folder(tmp_path, head):
    theirs = randomise(head(BertConfig(**THEIR_SIZE)))
    theirs.save_pretrained(tmp_path)
    ours = BertTextEncoder(**SIZE, num_cross_layers=2, init_cfg=dict(type='HFPretrained', folder=str(tmp_path)))
    ours.init_weights()
    ours.eval()
    inputs = inputs_of()
    with torch.no_grad():
        expected = theirs.base_model(inputs.input_ids, attention_mask=inputs.attention_mask.long()).last_hidden_state
        torch.testing.assert_close(ours(inputs), expected, atol=1e-5, rtol=0)
        # It reads in both directions: a change of the last word moves the first.
        changed = inputs.input_ids.clone()
        changed[0, -1] += 1
        assert (ours(inputs._replace(input_ids=changed)) - ours(inputs))[0, 0].abs().max() > 1e-3


def test_correction_head_is_the_folders_head_of_masked_language_modelling(tmp_path):
    """Exactly transformers' own logits, of one folder."""
    theirs = randomise(BertForMaskedLM(BertConfig(**THEIR_SIZE)))
    theirs.save_pretrained(tmp_path)
    start = dict(type='HFPretrained', folder=str(tmp_path))
    encoder = BertTextEncoder(**SIZE, num_cross_layers=2, init_cfg=start)
    head = ErrorCorrectionHead(32, 40, init_cfg=start)
    for part in (encoder, head):
        part.init_weights()
        part.eval()
    inputs = inputs_of()
    with torch.no_grad():
        tokens = theirs.bert(inputs.input_ids, attention_mask=inputs.attention_mask.long()).last_hidden_state
        assert torch.equal(head(tokens, encoder.word_logits), theirs.cls(tokens))
        expected = theirs(inputs.input_ids, attention_mask=inputs.attention_mask.long()).logits
        torch.testing.assert_close(head(encoder(inputs), encoder.word_logits), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('bias', ['cls.predictions.bias', 'cls.predictions.decoder.bias'])
def test_names_of_the_head_of_masked_language_modelling(bias):
    transform = 'cls.predictions.transform.'
    keys = [transform + 'dense.weight', transform + 'LayerNorm.gamma', transform + 'LayerNorm.beta', bias]
    assert mlm_head_names([*keys, 'cls.predictions.decoder.weight', 'bert.embeddings.LayerNorm.bias']) == dict(
        zip(keys, ('transform.0.weight', 'transform.2.weight', 'transform.2.bias', 'bias'))
    )


def test_correction_head_and_folders_that_do_not_fit(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(pretrained, 'print_log', lambda line, **_: lines.append(line))
    BertModel(BertConfig(**THEIR_SIZE)).save_pretrained(tmp_path)
    head = ErrorCorrectionHead(32, 40, init_cfg=dict(type='HFPretrained', folder=str(tmp_path)))
    before = {name: value.clone() for name, value in head.state_dict().items()}
    head.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    assert lines == [f'{tmp_path}: has no weights for ErrorCorrectionHead, which keeps its own start']
    BertForMaskedLM(BertConfig(**THEIR_SIZE, tie_word_embeddings=False)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='tie_word_embeddings is False in the folder, True in the config'):
        head.__class__(32, 40, init_cfg=head.init_cfg).init_weights()
    with pytest.raises(ValueError, match='hidden_size is 32 in the folder, 16 in the config'):
        ErrorCorrectionHead(16, 40, init_cfg=head.init_cfg).init_weights()


def test_folder_of_another_size_is_refused(tmp_path):
    BertModel(BertConfig(**{**THEIR_SIZE, 'num_attention_heads': 2})).save_pretrained(tmp_path)
    encoder = BertTextEncoder(**SIZE, init_cfg=dict(type='HFPretrained', folder=str(tmp_path)))
    with pytest.raises(ValueError, match='num_attention_heads is 2 in the folder, 4 in the config'):
        encoder.init_weights()


def test_names_of_bert():
    layer = 'bert.encoder.layer.3.'
    assert bert_names(
        [
            'bert.embeddings.word_embeddings.weight',
            'bert.embeddings.LayerNorm.gamma',
            'bert.embeddings.position_ids',
            layer + 'attention.self.query.weight',
            layer + 'crossattention.output.dense.bias',
            layer + 'output.LayerNorm.beta',
            'bert.pooler.dense.weight',
            'cls.predictions.bias',
        ]
    ) == {
        'bert.embeddings.word_embeddings.weight': 'word_embed.weight',
        'bert.embeddings.LayerNorm.gamma': 'norm.weight',
        layer + 'attention.self.query.weight': 'layers.3.self_attn.query.weight',
        layer + 'crossattention.output.dense.bias': 'layers.3.cross_attn.out.bias',
        layer + 'output.LayerNorm.beta': 'layers.3.ffn_norm.bias',
    }


def test_only_the_first_layers_own_a_cross_attention():
    names = [n for n, _ in BertTextEncoder(**SIZE, num_cross_layers=2, memory_dims=20).named_parameters()]
    assert {n.split('.')[1] for n in names if 'cross' in n} == {'0', '1'}
    assert not any('cross' in n for n, _ in BertTextEncoder(**SIZE).named_parameters())
    with pytest.raises(ValueError, match='num_cross_layers must be at most num_layers 3, got 4'):
        BertTextEncoder(**SIZE, num_cross_layers=4)


def test_shift_is_what_the_first_layer_receives():
    encoder = randomise(BertTextEncoder(**SIZE))
    inputs, shift = inputs_of(), torch.randn(2, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        x = (
            encoder.word_embed.weight[inputs.input_ids]
            + encoder.position_embed.weight[:7]
            + encoder.type_embed.weight[0]
        )
        x = F.layer_norm(x, (32,), encoder.norm.weight, encoder.norm.bias, 1e-12)
        expected = encoder.layers[1](
            encoder.layers[0](x + shift[:, None], inputs.attention_mask), inputs.attention_mask
        )
        torch.testing.assert_close(encoder(inputs, 2, shift=shift), expected, atol=1e-5, rtol=0)


def test_each_layer_reads_its_own_memory():
    encoder = randomise(BertTextEncoder(**SIZE, num_cross_layers=2, memory_dims=20))
    inputs = inputs_of()
    memory = list(torch.randn(2, 2, 5, 20, generator=torch.Generator().manual_seed(3)))
    with torch.no_grad():
        x = encoder(inputs, 0)
        for layer, patches in zip(encoder.layers, memory):
            x = layer(x, inputs.attention_mask, patches)
        torch.testing.assert_close(encoder(inputs, 2, memory=memory), x, atol=1e-5, rtol=0)
        assert not torch.allclose(encoder(inputs, 2, memory=memory[::-1]), x, atol=0.01)
        # A third layer has none, and goes on without.
        expected = encoder.layers[2](x, inputs.attention_mask)
        torch.testing.assert_close(encoder(inputs, memory=memory), expected, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match='3 memories for num_cross_layers 2'):
        encoder(inputs, memory=memory + memory[:1])


def test_attention_maps_are_those_of_the_pass_and_have_gradients():
    encoder = randomise(BertTextEncoder(**SIZE, num_cross_layers=2, memory_dims=20))
    inputs = inputs_of()
    memory = list(torch.randn(2, 2, 5, 20, generator=torch.Generator().manual_seed(3)))
    tokens, maps = encoder(inputs, 2, memory=memory, return_attention=True)
    torch.testing.assert_close(tokens, encoder(inputs, 2, memory=memory), atol=1e-5, rtol=0)
    assert [m.shape for m in maps] == [(2, 4, 7, 5)] * 2
    torch.testing.assert_close(maps[0].sum(dim=-1), torch.ones(2, 4, 7))
    # One head by hand.
    layer = encoder.layers[0]
    x = encoder(inputs, 0)
    x = layer.self_norm(x + layer.self_attn(x, x, inputs.attention_mask))
    query, key = layer.cross_attn.query(x)[..., 8:16], layer.cross_attn.key(memory[0])[..., 8:16]
    torch.testing.assert_close(maps[0][:, 1], (query @ key.mT / 8**0.5).softmax(dim=-1), atol=1e-5, rtol=0)
    gradients = torch.autograd.grad(tokens[0, 2].sum(), maps)
    assert all(g[0].abs().sum() > 0 and g[1].abs().sum() == 0 for g in gradients)  # of this caption alone


def test_longer_padding_changes_nothing():
    encoder = randomise(BertTextEncoder(**SIZE))
    short = inputs_of()
    padded = VLInputs(None, *(F.pad(t, (0, 4)) for t in short[1:]))
    with torch.no_grad():
        torch.testing.assert_close(encoder(padded)[:, :7], encoder(short), atol=1e-5, rtol=0)


def test_word_logits_are_dot_products_with_the_embeddings():
    encoder = randomise(BertTextEncoder(**SIZE))
    token = torch.randn(32, generator=torch.Generator().manual_seed(3))
    assert encoder.word_logits(token)[7].item() == pytest.approx(
        (encoder.word_embed.weight[7] @ token).item(), abs=1e-5
    )


def test_compiles_as_one_graph():
    encoder = randomise(BertTextEncoder(**SIZE, num_cross_layers=2, memory_dims=20))
    inputs = inputs_of()
    memory = list(torch.randn(2, 2, 5, 20, generator=torch.Generator().manual_seed(3)))
    torch.compiler.reset()
    compiled = torch.compile(encoder, fullgraph=True, backend='eager')
    with torch.no_grad():
        torch.testing.assert_close(compiled(inputs), encoder(inputs), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            compiled(inputs, 2, memory=memory), encoder(inputs, 2, memory=memory), atol=1e-5, rtol=0
        )


def test_attention_goes_through_the_fused_kernel(monkeypatch):
    calls, sdpa = [], F.scaled_dot_product_attention
    monkeypatch.setattr(F, 'scaled_dot_product_attention', lambda *a, **k: calls.append(1) or sdpa(*a, **k))
    encoder = BertTextEncoder(**SIZE, num_cross_layers=2, memory_dims=20)
    encoder(inputs_of(), 2, memory=[torch.randn(2, 5, 20)] * 2)
    assert len(calls) == 4  # two layers, each with a self- and a cross-attention
