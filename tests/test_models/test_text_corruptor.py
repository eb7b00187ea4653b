"""Text edition: what is chosen, what is written in its place, and that batching changes nothing."""

import json

import pytest
import torch
from tokenizers import Tokenizer, models
from torch import nn
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizerFast,
    CLIPTokenizerFast,
    GemmaTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

from mmvlforge.forge.tokenizer import train_tokenizer
from mmvlforge.models import TextCorruptor
from mmvlforge.registry import MODELS
from mmvlforge.structures import IGNORE, VLInputs

SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
WORDS = [f'word{n}' for n in range(20)] + [f'##ing{n}' for n in range(3)]
ODD = [',', '##!', '[unused1]']
TOKENS = SPECIAL + ODD + WORDS
FIRST = len(SPECIAL + ODD)  # id of word0
MASK = TOKENS.index('[MASK]')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A masked language model of two layers with large random weights, three rows beyond its tokenizer's."""
    path = tmp_path_factory.mktemp('lm')
    (path / 'vocab.txt').write_text('\n'.join(TOKENS))
    BertTokenizerFast(str(path / 'vocab.txt')).save_pretrained(path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(TOKENS) + 3,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.5,
    )
    BertForMaskedLM(config).save_pretrained(path)
    return str(path)


def captions(lengths=(10, 5, 1, 8), seed=0):
    """[CLS] words [SEP], padded with 0."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths) + 2
    ids = torch.zeros(len(lengths), longest, dtype=torch.int64)
    words = torch.zeros(len(lengths), longest, dtype=torch.bool)
    for row, length in enumerate(lengths):
        ids[row, 1 : length + 1] = torch.randint(FIRST, len(TOKENS), (length,), generator=generator)
        ids[row, 0], ids[row, length + 1] = 2, 3
        words[row, 1 : length + 1] = True
    return VLInputs(None, ids, torch.arange(longest) < torch.tensor(lengths)[:, None] + 2, words)


def sequential(folder, inputs, chosen, top_k, joint, seed, subwords=False):
    """Edit one position after the other with plain calls of the model; unpadded captions."""
    model = BertForMaskedLM.from_pretrained(folder).eval()
    forbidden = [n for n, token in enumerate(TOKENS) if n < FIRST or (token.startswith('##') and not subwords)]
    forbidden += range(len(TOKENS), len(TOKENS) + 3)
    torch.manual_seed(seed)
    noise = torch.empty(int(chosen.sum()), top_k).exponential_()
    edited = inputs.input_ids.clone()
    for edit, (row, column) in enumerate(chosen.nonzero().tolist()):
        ids = inputs.input_ids[row, inputs.attention_mask[row]].clone()
        if joint:
            ids[chosen[row, : len(ids)]] = MASK
        ids[column] = MASK
        with torch.no_grad():
            probabilities = model(ids[None]).logits[0, column].softmax(0)
        probabilities[[*forbidden, int(inputs.input_ids[row, column])]] = 0
        best = probabilities.topk(top_k)
        edited[row, column] = best.indices[(best.values / best.values.sum() / noise[edit]).argmax()]
    return edited


@pytest.mark.parametrize('joint', [False, True])
@pytest.mark.parametrize('chunk_size', [1, 3, None])
def test_batched_equals_sequential(folder, joint, chunk_size):
    inputs = captions()
    corruptor = TextCorruptor(folder, rate=0.8, top_k=4, joint=joint, chunk_size=chunk_size)
    torch.manual_seed(5)
    chosen = corruptor.choose(inputs)
    assert chosen.sum() > 6
    torch.manual_seed(7)
    edited = corruptor.edit(inputs, chosen).input_ids
    assert torch.equal(edited, sequential(folder, inputs, chosen, 4, joint, seed=7))


def test_masking_alone_and_jointly_differ(folder):
    inputs = captions()
    results = []
    for joint in (False, True):
        torch.manual_seed(0)
        results.append(TextCorruptor(folder, rate=1, max_edits=10, joint=joint)(inputs).input_ids)
    assert not torch.equal(*results)
    torch.manual_seed(0)
    by_default = TextCorruptor(folder, rate=1, max_edits=10)(inputs).input_ids
    assert torch.equal(by_default, results[1])  # Sec. 3.2.1 of the paper


def test_labels(folder):
    inputs = captions((4, 2))
    ids = inputs.input_ids
    chosen = torch.zeros_like(inputs.word_mask)
    chosen[0, 2] = chosen[0, 3] = True
    text = TextCorruptor(folder, mode='masked').edit(inputs, chosen)
    a, b = ids[0, 2].item(), ids[0, 3].item()
    assert text.input_ids.tolist() == [[2, ids[0, 1], MASK, MASK, ids[0, 4], 3], ids[1].tolist()]
    assert text.detection.tolist() == [[IGNORE, 1, 0, 0, 1, IGNORE], [IGNORE, 1, 1, IGNORE, IGNORE, IGNORE]]
    assert text.correction.tolist() == [[IGNORE, IGNORE, a, b, IGNORE, IGNORE], [IGNORE] * 6]


@pytest.mark.parametrize('mode', ['lm', 'random'])
@pytest.mark.parametrize('subwords', [False, True])
def test_what_is_written(folder, mode, subwords):
    """Every token edited many times: each writable one but itself appears, nothing else does."""
    ids = torch.arange(FIRST, len(TOKENS)).repeat(300, 1)
    everywhere = torch.ones_like(ids, dtype=torch.bool)
    inputs = VLInputs(None, ids[:, :12], everywhere[:, :12], everywhere[:, :12])
    torch.manual_seed(0)
    corruptor = TextCorruptor(
        folder, mode=mode, rate=1, max_edits=99, top_k=99, subwords=subwords, stop_words=['word7', 'word15']
    )
    text = corruptor(inputs)
    edited = text.correction != IGNORE
    assert edited.sum(0).tolist() == [0 if column == 7 else 300 for column in range(12)]
    assert not (text.input_ids == inputs.input_ids)[edited].any()
    written = {TOKENS[n] for n in text.input_ids[edited].tolist()}
    allowed = set(WORDS) - {'word7', 'word15'}
    allowed = {token for token in allowed if subwords or not token.startswith('##')}
    assert written <= allowed
    if mode == 'random':
        assert written == allowed
        share = (text.input_ids[:, 0] == FIRST + 1).float().mean()
        assert share == pytest.approx(1 / (len(allowed) - 1), abs=0.05)


CAPTIONS = ['the skateboarder jumps', 'the boat sails', 'skateboarders rest near the snowman', 'snowman']
PIECES = ['the', 'skate', '##board', '##er', '##s', 'jumps', 'boat', 'sails', 'rest', 'near', 'snow', '##man', '##ing']


def word_pieces(path):
    (path / 'vocab.txt').write_text('\n'.join(SPECIAL + PIECES))
    BertTokenizerFast(str(path / 'vocab.txt')).save_pretrained(path)


def byte_pairs(path):
    # Words of these captions become tokens, 'skateboarders' and 'snowman' fall in pieces.
    train_tokenizer(['the boat sails near', 'the rest jumps'] * 50, path, 300)


@pytest.mark.parametrize('write_tokenizer', [word_pieces, byte_pairs])
@pytest.mark.parametrize('mode', ['lm', 'random'])
def test_edited_captions_consist_of_whole_words(tmp_path, mode, write_tokenizer):
    write_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    torch.manual_seed(0)
    small = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **small)).save_pretrained(tmp_path)
    batch = tokenizer(CAPTIONS * 50, padding=True, return_special_tokens_mask=True, return_tensors='pt')
    inputs = VLInputs(None, batch.input_ids, batch.attention_mask.bool(), batch.special_tokens_mask == 0)
    corruptor = TextCorruptor(str(tmp_path), mode=mode, rate=0.6, top_k=99)
    text = corruptor(inputs)
    changed = set()
    for before, ids in zip(CAPTIONS * 50, text.input_ids):
        after = tokenizer.decode(ids, skip_special_tokens=True)
        for old, new in zip(before.split(), after.split(), strict=True):
            if old != new:
                changed.add(old)
                assert len(tokenizer.tokenize(f' {new}')) == 1, new
    # Words of one token are edited, split ones are not.
    whole = {word for caption in CAPTIONS for word in caption.split() if len(tokenizer.tokenize(f' {word}')) == 1}
    assert changed == whole and {'boat', 'sails'} <= whole and not whole & {'skateboarder', 'snowman'}
    # A caption of one split word comes out as it is, but may be masked.
    assert not corruptor.editable(inputs)[3].any()
    assert TextCorruptor(str(tmp_path), mode='masked', rate=1).choose(inputs)[3].sum() > 1


def test_draws_follow_the_top_k_softmax(folder):
    row = captions((5,))
    inputs = VLInputs(None, *(field.expand(4000, -1) for field in row[1:]))
    chosen = torch.zeros_like(inputs.word_mask)
    chosen[:, 3] = True
    torch.manual_seed(0)
    written = TextCorruptor(folder, top_k=3).edit(inputs, chosen).input_ids[:, 3]
    ids = row.input_ids.clone()
    ids[0, 3] = MASK
    with torch.no_grad():
        logits = BertForMaskedLM.from_pretrained(folder).eval()(ids).logits[0, 3]
    ranked = [n for n in logits.argsort(descending=True).tolist() if FIRST <= n < len(TOKENS) - 3]
    ranked = [n for n in ranked if n != row.input_ids[0, 3]][:3]
    expected = logits[ranked].softmax(0)
    assert set(written.tolist()) <= set(ranked)
    shares = torch.tensor([(written == n).float().mean() for n in ranked])
    assert torch.allclose(shares, expected, atol=0.04)


def test_rate_and_limit(folder):
    inputs = captions((14,) * 2000)
    torch.manual_seed(0)
    chosen = TextCorruptor(folder, mode='random', subwords=True).choose(inputs)
    assert chosen.float().sum().item() / (14 * 2000) == pytest.approx(0.15, abs=0.01)
    per_position = chosen.float().mean(0)
    assert per_position[0] == per_position[-1] == 0
    assert per_position[1:-1].min() > 0.11 and per_position[1:-1].max() < 0.19
    chosen = TextCorruptor(folder, mode='random', rate=1, max_edits=8, subwords=True).choose(inputs)
    assert (chosen.sum(1) == 8).all()
    assert chosen.float().mean(0)[1:-1].sub(8 / 14).abs().max() < 0.05


def test_special_punctuation_and_stop_words_stay(folder):
    tokens = ['[UNK]', '[MASK]', ',', '##!', '[unused1]', 'word5', 'word0', '##ing1']
    ids = torch.tensor([[TOKENS.index(token) for token in tokens]])
    everywhere = torch.ones_like(ids, dtype=torch.bool)
    inputs = VLInputs(None, ids, everywhere, everywhere)
    chosen = TextCorruptor(folder, mode='random', rate=1, subwords=True, stop_words=['word5']).choose(inputs)
    assert chosen.tolist() == [[False] * 6 + [True] * 2]


@pytest.mark.parametrize('mode', ['lm', 'random', 'masked'])
@pytest.mark.parametrize('joint', [False, True])
def test_no_edits(folder, mode, joint):
    inputs = captions()
    text = TextCorruptor(folder, mode=mode, rate=0, joint=joint)(inputs)
    assert torch.equal(text.input_ids, inputs.input_ids)
    assert (text.correction == IGNORE).all()
    assert torch.equal(text.detection == 1, inputs.word_mask)


def test_deterministic_and_pure(folder):
    inputs = captions()
    before = inputs.input_ids.clone()
    corruptor = TextCorruptor(folder, rate=0.5)
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(corruptor(inputs).input_ids)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(inputs.input_ids, before)


def test_language_model_stays_apart(folder):
    parent = nn.Module()
    parent.corruptor = MODELS.build(dict(type='TextCorruptor', name=folder))
    parent.corruptor.init_weights()
    parent.train()
    model = parent.corruptor._loaded.model
    assert not model.training and not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert parent.state_dict() == {} and list(parent.parameters()) == []
    # Dropout would make two passes differ.
    inputs, chosen = captions(), captions().word_mask
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        results.append(parent.corruptor.edit(inputs, chosen).input_ids)
    assert torch.equal(*results)
    assert not model.base_model._forward_hooks


def test_roberta_folder(folder, tmp_path):
    """Another family: its head and its numbering of positions differ."""
    BertTokenizerFast.from_pretrained(folder).save_pretrained(tmp_path)
    fields = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    RobertaForMaskedLM(
        RobertaConfig(vocab_size=len(TOKENS), max_position_embeddings=20, pad_token_id=0, **fields)
    ).save_pretrained(tmp_path)
    text = TextCorruptor(str(tmp_path), rate=1, subwords=True)(captions())
    assert (text.correction != IGNORE).sum() == 8 + 5 + 1 + 8


def test_clear_errors(folder, tmp_path):
    with pytest.raises(ValueError, match="mode must be 'lm', 'random' or 'masked', got 'bert'"):
        TextCorruptor(folder, mode='bert')
    with pytest.raises(ValueError, match='rate is a probability, got 15'):
        TextCorruptor(folder, rate=15)
    with pytest.raises(ValueError, match='at least 1, got 0, 20 and None'):
        TextCorruptor(folder, max_edits=0)
    # Built without the folder; only used with it.
    corruptor = TextCorruptor(str(tmp_path / 'missing'))
    with pytest.raises(ValueError, match='missing.* cannot be loaded.*mini_lm'):
        corruptor.init_weights()
    # A model without the prediction head would write noise.
    BertTokenizerFast.from_pretrained(folder).save_pretrained(tmp_path)
    BertModel(BertForMaskedLM.from_pretrained(folder).config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='weights lack .*cls.predictions'):
        TextCorruptor(str(tmp_path)).init_weights()
    model = BertForMaskedLM.from_pretrained(folder)
    torch.nn.init.constant_(model.cls.predictions.transform.dense.bias[3:], float('nan'))
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='its weights: 1 tensors hold NaN or infinity: cls'):
        TextCorruptor(str(tmp_path)).init_weights()


CLIP_TOKENS = ['a', 'b', 'ab', 'word1</w>', 'word2</w>', 'word3</w>', 'strange</w>', ',</w>', 'word4', 'word5</w>']
CLIP_TOKENS += ['[PAD]</w>', '<|startoftext|>', '<|endoftext|>']
GEMMA_TOKENS = ['<pad>', '<eos>', '<bos>', '<unk>', 'word1', '▁word2', '▁word3', '▁strange', '▁word4', 'word5', '▁,']


@pytest.fixture(params=['clip', 'gemma'])
def other(request, tmp_path):
    """Folder of another tokenizer, its tokens, and a caption: of which only some may be edited, here marked."""
    folder = tmp_path / 'tokenizer'
    folder.mkdir()
    if request.param == 'clip':
        (folder / 'vocab.json').write_text(json.dumps({token: n for n, token in enumerate(CLIP_TOKENS)}))
        (folder / 'merges.txt').write_text('#version: 0.2\na b')
        CLIPTokenizerFast(str(folder / 'vocab.json'), str(folder / 'merges.txt')).save_pretrained(folder)
        caption = ['<|startoftext|>', 'word1</w>', 'strange</w>', ',</w>', 'word4', 'word5</w>', 'word3</w>']
        return str(folder), CLIP_TOKENS, [*caption, '<|endoftext|>'], [1, 6]  # 'word4word5' is one word, in two pieces
    base = Tokenizer(models.BPE({token: n for n, token in enumerate(GEMMA_TOKENS)}, [], unk_token='<unk>'))
    special = dict(pad_token='<pad>', eos_token='<eos>', bos_token='<bos>', unk_token='<unk>')
    GemmaTokenizerFast(tokenizer_object=base, **special).save_pretrained(folder)
    caption = ['word1', '▁word2', '▁strange', '▁,', '▁word4', 'word5', '▁word3', '<eos>']
    return str(folder), GEMMA_TOKENS, caption, [1, 6]


def test_captions_of_another_vocabulary(folder, other):
    """The language model reads the common words, and writes only words that are one token on both sides."""
    tokenizer, tokens, caption, editable = other
    ids = torch.tensor([[tokens.index(token) for token in caption]])
    words = torch.ones_like(ids, dtype=torch.bool)
    words[0, -1] = False
    words[0, 0] = caption[0] != '<|startoftext|>'
    inputs = VLInputs(None, ids, torch.ones_like(words), words)
    corruptor = TextCorruptor(folder, rate=1.0, top_k=50, tokenizer=tokenizer)
    assert corruptor.editable(inputs)[0].nonzero()[:, 0].tolist() == editable
    whole = {n for n, token in enumerate(tokens) if token.strip('▁').removesuffix('</w>') in WORDS}
    whole = {n for n in whole if tokens[n].endswith('</w>') or tokens[n].startswith('▁')}
    written, seen = set(), []
    handle = corruptor._knowledge(ids.device).model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs['input_ids']), with_kwargs=True
    )
    torch.manual_seed(0)
    for _ in range(60):
        edited = corruptor(inputs)
        changed = (edited.input_ids != ids)[0].nonzero()[:, 0].tolist()
        assert changed == editable
        assert torch.equal(edited.correction[0, editable], ids[0, editable])
        written |= set(edited.input_ids[0, editable].tolist())
    handle.remove()
    assert written <= whole and len(written) > 1
    known = corruptor._knowledge(ids.device)
    assert set(known.from_lm[known.writable].tolist()) == whole
    wanted = dict(strange='[UNK]', word4='word4', word5='word5', word1='word1', word2='word2')
    wanted |= {'<|startoftext|>': '[CLS]', '<|endoftext|>': '[SEP]', '<eos>': '[SEP]', ',': '[UNK]'}
    read = [wanted.get(token.strip('▁').removesuffix('</w>')) for token in caption]
    for place in editable:
        read[place] = '[MASK]'
    assert [TOKENS[number] for number in seen[0][0].tolist()] == read


def test_another_vocabulary_is_for_the_language_model(folder):
    with pytest.raises(ValueError, match="tokenizer is for mode 'lm' without subwords, got 'random'"):
        TextCorruptor(folder, mode='random', tokenizer=folder)
    corruptor = TextCorruptor(folder, tokenizer='no/such/folder')
    with pytest.raises(ValueError, match="tokenizer 'no/such/folder' of the captions cannot be loaded"):
        corruptor.init_weights()
