"""A small tokenizer, and data set folders with pictures."""

import json

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import BertTokenizerFast, RobertaTokenizerFast

from mmvlforge.datasets import DGM4Dataset


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmvlforge')


@pytest.fixture(scope='session')
def tokenizer(tmp_path_factory):
    """Config of a RoBERTa-like tokenizer that has merged nothing: each word gives a token a byte, and one before it."""
    folder = str(tmp_path_factory.mktemp('tokenizer'))
    bpe = Tokenizer(models.BPE(unk_token='<unk>'))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.post_processor = processors.RobertaProcessing(('</s>', 2), ('<s>', 0))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ['<s>', '<pad>', '</s>', '<unk>', '<mask>']
    bpe.train_from_iterator([], trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet))
    RobertaTokenizerFast(tokenizer_object=bpe, add_prefix_space=True).save_pretrained(folder)
    return dict(type='WordTokenizer', name=folder, max_length=50)


BERT_WORDS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'dog', 'cat', '##s', 'left', 'right', 'of', 'runs')


@pytest.fixture(scope='session')
def bert_folder(tmp_path_factory):
    """A BERT tokenizer whose ids are places in ``BERT_WORDS``: a 5, dog 6, cat 7, ##s 8, left 9, right 10."""
    folder = tmp_path_factory.mktemp('bert')
    (folder / 'words.txt').write_text('\n'.join(BERT_WORDS))
    BertTokenizerFast(vocab_file=str(folder / 'words.txt')).save_pretrained(folder / 'saved')
    return str(folder / 'saved')


@pytest.fixture
def caption_pipeline(bert_folder):
    """Pictures as they are, cleaned captions, tokens."""
    return [
        dict(type='LoadImageGroup'),
        dict(type='CleanCaptions', max_words=30),
        dict(type='CaptionTokenizer', name=bert_folder),
        dict(type='PackCaptionInputs'),
    ]


@pytest.fixture
def save_pictures(tmp_path):
    """Write one-coloured 12x8 pictures, the first blue 0, the next blue 10, ..."""

    def save(*names, mode='RGB'):
        for number, name in enumerate(names):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            colour = (200, 100, 10 * number) + (7,) * (mode == 'RGBA')
            Image.new(mode, (12, 8), colour).save(tmp_path / name)

    return save


@pytest.fixture
def record():
    """A sound record with any field replaced."""

    def make(**fields):
        base = dict(id=1, image='DGM4/a.jpg', text='a bc d', fake_cls='orig', fake_image_box=[], fake_text_pos=[])
        return {**base, **fields}

    return make


@pytest.fixture
def write_set(tmp_path):
    """Write records and one 40x30 picture for each image path; returns the root."""

    def write(records, ann_file='ann.json'):
        path = tmp_path / ann_file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(records))
        for number, name in enumerate(sorted({r['image'] for r in records if r.get('image')})):
            picture = tmp_path / name
            picture.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(picture)
        return tmp_path

    return write


@pytest.fixture
def build(tokenizer, write_set):
    """Write records and build a data set of them; the pipeline follows the tokenizer."""

    def make(records, pipeline=(), **settings):
        root = write_set(records)
        return DGM4Dataset('ann.json', data_root=str(root), pipeline=[tokenizer, *pipeline], **settings)

    return make
