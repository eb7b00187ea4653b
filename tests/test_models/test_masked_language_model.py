"""The masked language model of captions: its loss, and the folder that training leaves."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from project import ROOT, run_tool
from transformers import BertModel

from mmvlforge.cli import main
from mmvlforge.forge import caption_scenes
from mmvlforge.forge.captions import make_mini_set
from mmvlforge.forge.edit_quality import edit_plausibility
from mmvlforge.models import TextCorruptor
from mmvlforge.registry import MODELS
from mmvlforge.structures import IGNORE, VLInputs

WORDS = len(caption_scenes.VOCABULARY) + 5


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp('generated') / 'set'
    make_mini_set(out, dict(train=30, val=5, test=10), seed=1)
    return out


def model_of(folder, init_cfg=None, **corruptor):
    config = dict(
        vocab_size=WORDS,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    corruptor = dict(type='TextCorruptor', name=str(folder / 'tokenizer'), mode='masked', **corruptor)
    return MODELS.build(dict(type='MaskedLanguageModel', config=config, corruptor=corruptor, init_cfg=init_cfg))


def test_loss_is_the_mean_over_masked_tokens(folder):
    model = model_of(folder, rate=0.5)
    ids = torch.tensor([[2, 10, 11, 12, 3, 0], [2, 20, 21, 22, 23, 3]])
    inputs = VLInputs(None, ids, ids > 0, ids > 4)
    torch.manual_seed(1)
    text = model.corruptor(inputs)
    chosen = text.correction != IGNORE
    assert 0 < chosen.sum() < 7
    log_probs = model(inputs._replace(input_ids=ids.masked_fill(chosen, 4))).log_softmax(-1)
    expected = -torch.stack([log_probs[r, c, ids[r, c]] for r, c in chosen.nonzero().tolist()]).mean()
    torch.manual_seed(1)
    torch.testing.assert_close(model(inputs, mode='loss')['loss'], expected)


def test_no_masked_token_is_a_true_zero(folder):
    model = model_of(folder, rate=0.0)
    ids = torch.tensor([[2, 10, 11, 3]])
    loss = model(VLInputs(None, ids, ids > 0, ids > 4), mode='loss')['loss']
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or (p.grad == 0).all() for p in model.parameters())
    with pytest.raises(ValueError, match="mode must be 'loss' or 'tensor', got 'predict'"):
        model(VLInputs(None, ids, ids > 0, ids > 4), mode='predict')


def test_it_starts_from_the_body_of_a_folder_and_keeps_its_own_head(folder, tmp_path):
    model = model_of(folder)
    config = model.model.config
    torch.manual_seed(7)
    body = BertModel(config, add_pooling_layer=False)
    body.save_pretrained(tmp_path)
    started = model_of(folder, init_cfg=dict(type='HFPretrained', folder=str(tmp_path)))
    before = started.model.cls.predictions.transform.dense.weight.clone()
    init_default_scope('mmvlforge')
    started.init_weights()
    loaded = started.model.bert.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in body.state_dict().items())
    assert started.model.cls.predictions.decoder.weight is started.model.bert.embeddings.word_embeddings.weight
    assert torch.equal(started.model.cls.predictions.transform.dense.weight, before)


TINY = """
_base_ = {base!r}
data_root = {data!r}
model = dict(config=dict(hidden_size=64, num_hidden_layers=1, intermediate_size=64),
             corruptor=dict(name=data_root + 'tokenizer'))
pipeline = [dict(type='CaptionTokenizer', name=data_root + 'tokenizer'), dict(type='PackCaptionInputs')]
train_dataloader = dict(batch_size=16, num_workers=0, persistent_workers=False,
                        dataset=dict(data_root=data_root, pipeline=pipeline))
visualizer = None
"""
QUALITY = """
default_scope = 'mmvlforge'
data_root = {data!r}
model = dict(corruptor=dict(type='TextCorruptor', name={lm!r}, rate=0.3, stop_words={stop!r}))
"""


def test_trained_folder_edits_captions(folder, tmp_path, capsys):
    """The config in small: train, load what it wrote, and judge its edits."""
    config = tmp_path / 'tiny.py'
    config.write_text(TINY.format(base=str(ROOT / 'configs/vilem/mini_lm.py'), data=f'{folder}/'))
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'work')
    lm = str(tmp_path / 'work/hf')
    corruptor = TextCorruptor(lm)
    corruptor.init_weights()
    trained = torch.load(tmp_path / 'work/epoch_1.pth', map_location='cpu', weights_only=False)['state_dict']
    loaded = corruptor._loaded.model.state_dict()
    assert {f'model.{name}' for name in loaded} == set(trained)
    assert all(torch.equal(tensor, trained[f'model.{name}']) for name, tensor in loaded.items())

    stop = list(caption_scenes.FUNCTION_WORDS)
    config.write_text(QUALITY.format(data=f'{folder}/', lm=lm, stop=stop))
    assert main(['forge', 'edit-quality', str(config), '--examples', '3']) == 0
    out = capsys.readouterr().out
    # Only words that state a fact are edited, and two edits rarely make a caption true from the other group.
    assert '50 captions, ' in out and 'function word' not in out
    assert float(out.split('false for their picture: ')[1].split()[0]) > 95
    assert sum(line.startswith(('false  ', 'TRUE   ')) for line in out.splitlines()) == 3

    config.write_text(QUALITY.format(data=f'{folder}/', lm=str(tmp_path / 'nothing'), stop=stop))
    assert main(['forge', 'edit-quality', str(config)]) == 2
    error = capsys.readouterr().err
    assert 'nothing' in error and 'cannot be loaded' in error


def test_edits_of_real_captions_are_judged_by_the_language_model(folder, tmp_path, capsys):
    lm = tmp_path / 'lm'
    torch.manual_seed(0)
    model = model_of(folder)
    model.export(lm)
    (tmp_path / 'captions.csv').write_text(
        'image,caption\na.jpg,A red ball near a boat.\na.jpg,a man\nb.jpg,two dogs\n'
    )
    config = tmp_path / 'real.py'
    dataset = dict(
        data_root=str(tmp_path),
        ann_file='captions.csv',
        reader=dict(type='csv'),
        pipeline=[dict(type='CleanCaptions', max_words=9), dict(type='CaptionTokenizer', name=str(lm))],
    )
    corruptor = dict(type='TextCorruptor', name=str(lm), rate=1.0)
    config.write_text(
        f"default_scope = 'mmvlforge'\nmodel = dict(corruptor={corruptor})\nval_dataloader = dict(dataset={dataset})\n"
    )
    assert main(['forge', 'edit-quality', str(config), '--examples', '1']) == 0
    *examples, counts, told = capsys.readouterr().out.splitlines()
    assert len(examples) == 1 and examples[0].count('->') >= 2
    assert counts.startswith('3 captions, 3 edited, ')
    found = edit_plausibility(Config.fromfile(config))
    assert found.original < 0 and f'{found.written:.2f} of the words written' in told
    # Drawn from its best predictions, so that they are no less plausible to it than what comes at random.
    assert found.written > found.random
    ids = model.corruptor._knowledge(torch.device('cpu')).editable.nonzero()[:2, 0]
    caption = torch.tensor([[2, *ids.tolist(), 3]])
    mask = torch.ones_like(caption, dtype=torch.bool)
    chosen = torch.tensor([[False, True, False, False]])
    reader = TextCorruptor(str(lm))
    (known,) = reader.log_probs(VLInputs(None, caption, mask, mask), chosen, caption)
    logits = model(VLInputs(None, caption.masked_fill(chosen, 4), mask, mask))
    torch.testing.assert_close(known, logits.log_softmax(-1)[0, 1, ids[:1]])
    with pytest.raises(ValueError, match="needs mode 'lm'"):
        TextCorruptor(str(lm), mode='random').log_probs(VLInputs(None, caption, mask, mask), chosen, caption)


def test_configs_know_the_vocabulary():
    lm, vilem = (Config.fromfile(ROOT / f'configs/vilem/{name}.py').model for name in ('mini_lm', 'vilem_mini'))
    assert lm.config.vocab_size == WORDS
    assert vilem.corruptor.stop_words == list(caption_scenes.FUNCTION_WORDS)
