"""No code of a folder runs, whatever the folder asks and whoever agrees."""

import ast
import io
import json
import sys

import pytest
from project import ROOT
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from mmvlforge.datasets.transforms import CaptionTokenizer, WordTokenizer
from mmvlforge.models.encoders import HFImageEncoder, HFTextEncoder
from mmvlforge.models.masked_language_model import MaskedLanguageModel
from mmvlforge.models.text_corruptor import TextCorruptor
from mmvlforge.models.weights import HFPretrained, HubPretrained

SIZES = dict(vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)


@pytest.fixture(params=[False, True], ids=['known', 'unknown'])
def folder(tmp_path, request, monkeypatch):
    """A BERT with code of its own, which leaves a mark; of a type that transformers knows, or of another."""
    (tmp_path / 'vocab.txt').write_text('\n'.join(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'b']))
    BertTokenizerFast(str(tmp_path / 'vocab.txt')).save_pretrained(tmp_path)
    BertForMaskedLM(BertConfig(**SIZES)).save_pretrained(tmp_path)
    (tmp_path / 'custom.py').write_text(
        f'open({str(tmp_path / "ran")!r}, "w").close()\n'
        'from transformers import *\nclass Config(BertConfig): pass\nclass Tokenizer(BertTokenizerFast): pass\n'
        'class Model(BertForMaskedLM): pass\n'
    )
    names = dict(AutoConfig='custom.Config', AutoTokenizer=['custom.Tokenizer', 'custom.Tokenizer'])
    names.update(AutoModel='custom.Model', AutoModelForMaskedLM='custom.Model')
    for file in ('config.json', 'tokenizer_config.json'):
        content = json.loads((tmp_path / file).read_text())
        content['auto_map'] = names
        if request.param:
            content.update({key: 'Unheard' for key in ('model_type', 'tokenizer_class') if key in content})
        (tmp_path / file).write_text(json.dumps(content))
    monkeypatch.setattr(sys, 'stdin', io.StringIO('y\n' * 50))
    return tmp_path


def text_encoder(folder):
    config = json.loads((folder / 'config.json').read_text())
    encoder = HFTextEncoder(config, init_cfg=dict(type='HFPretrained', folder=str(folder)))
    HFPretrained(str(folder))(encoder)


def hub_model(folder):
    encoder = HFImageEncoder(dict(model_type='vit', **{k: v for k, v in SIZES.items() if k != 'vocab_size'}))
    HubPretrained(str(folder))(encoder)


def language_model(folder):
    model = MaskedLanguageModel(SIZES, dict(type='TextCorruptor', name=str(folder), mode='masked'))
    model.init_weights()
    model.export(folder / 'exported')


@pytest.mark.parametrize(
    'load',
    [
        lambda folder: WordTokenizer(str(folder)).encode('a b'),
        lambda folder: CaptionTokenizer(str(folder)).transform(dict(captions=['a b'])),
        lambda folder: TextCorruptor(str(folder), mode='lm').init_weights(),
        text_encoder,
        hub_model,
        language_model,
    ],
    ids=['words', 'captions', 'corruptor', 'encoder', 'hub', 'export'],
)
def test_a_planted_auto_map_is_never_followed(folder, load, capsys):
    try:
        load(folder)
    except ValueError as error:  # transformers does not know the type, and may not ask the folder's code
        assert 'trust_remote_code' not in str(error)  # no advice to run it
    assert not (folder / 'ran').exists()
    assert sys.stdin.tell() == 0, 'somebody was asked'


def test_it_cannot_be_asked_for():
    with pytest.raises(ValueError, match='trust_remote_code is not taken'):
        WordTokenizer('a', trust_remote_code=True)


def test_every_loader_of_transformers_is_told_so():
    seen = 0
    for path in [*(ROOT / 'mmvlforge').rglob('*.py'), *(ROOT / 'tools').rglob('*.py')]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in ('from_pretrained', 'from_config'):
                seen += 1
                told = {word.arg: word.value for word in node.keywords}
                assert getattr(told.get('trust_remote_code'), 'value', None) is False, f'{path}:{node.lineno}'
    assert seen >= 7
