"""The 30,052 public records of DGM⁴ (captions, labels and boxes; no pictures)."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BertTokenizerFast, RobertaTokenizerFast

from mmvlforge.annotations.annotation_file import read_annotations
from mmvlforge.annotations.dgm4_record import RecordFormat, dgm4_class_map, record_problems
from mmvlforge.datasets import DGM4Dataset

FOLDER = Path(
    os.environ.get('MMVLFORGE_DGM4_ANNOTATIONS', Path(__file__).parents[3] / 'shared' / 'data' / 'dgm4_annotations')
)
FILES = {'val.json': 22126, 'test_usa_today.json': 7926}
pytestmark = pytest.mark.skipif(
    not all((FOLDER / name).is_file() for name in FILES),
    reason=f'DGM4 annotations are not in {FOLDER}; MMVLFORGE_DGM4_ANNOTATIONS may name their folder',
)


@pytest.fixture(scope='module')
def records():
    return {name: read_annotations(str(FOLDER / name)) for name in FILES}


@pytest.fixture(scope='module')
def captions(records):
    return [record['text'] for rows in records.values() for record in rows]


@pytest.fixture(scope='module')
def roberta(captions, tmp_path_factory):
    """Byte-level BPE as RoBERTa has it, cased."""
    bpe = Tokenizer(models.BPE(unk_token='<unk>'))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    special = ['<s>', '<pad>', '</s>', '<unk>', '<mask>']
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        captions, trainers.BpeTrainer(vocab_size=8000, special_tokens=special, initial_alphabet=alphabet)
    )
    bpe.post_processor = processors.RobertaProcessing(('</s>', 2), ('<s>', 0), trim_offsets=True)
    folder = str(tmp_path_factory.mktemp('roberta'))
    RobertaTokenizerFast(tokenizer_object=bpe, add_prefix_space=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope='module')
def bert(captions, tmp_path_factory):
    """WordPiece as BERT has it, lower-casing."""
    pieces = Tokenizer(models.WordPiece(unk_token='[UNK]'))
    pieces.normalizer = normalizers.BertNormalizer(lowercase=True)
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    pieces.train_from_iterator(captions, trainers.WordPieceTrainer(vocab_size=8000, special_tokens=special))
    pieces.post_processor = processors.BertProcessing(('[SEP]', 3), ('[CLS]', 2))
    folder = str(tmp_path_factory.mktemp('bert'))
    BertTokenizerFast(tokenizer_object=pieces).save_pretrained(folder)
    return folder


def build(name, tokenizer, max_length=50):
    init_default_scope('mmvlforge')
    return DGM4Dataset(
        str(FOLDER / name),
        pipeline=[
            dict(type='WordTokenizer', name=tokenizer, max_length=max_length),
            dict(type='PackManipulationInputs'),
        ],
    )


def labels_by_offsets(records, folder, max_length):
    """Token ids and labels of whole captions, from characters: a token takes the label of the word it lies in."""
    tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    encoded = tokenizer(
        [r['text'] for r in records],
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        truncation=True,
        max_length=max_length,
    )
    labels = []
    for record, offsets, special in zip(records, encoded['offset_mapping'], encoded['special_tokens_mask']):
        fake = np.zeros(len(record['text']), int)
        for position, word in enumerate(re.finditer(r'\S+', record['text'])):
            fake[word.start() : word.end()] = position in record['fake_text_pos']
        labels.append([-100 if s else int(fake[start]) for (start, _), s in zip(offsets, special)])
    return encoded['input_ids'], labels


@pytest.mark.parametrize('name', FILES)
def test_every_record_is_sound(records, name):
    fmt = RecordFormat(dgm4_class_map())
    assert len(records[name]) == FILES[name]
    assert [row for row, record in enumerate(records[name]) if list(record_problems(record, fmt))] == []


@pytest.mark.parametrize(
    ('name', 'ids', 'boxed', 'worded', 'left_edge', 'top_edge'),
    [('val.json', 7975, 11934, 5866, 76, 198), ('test_usa_today.json', 3167, 3986, 2454, 20, 19)],
)
def test_measured_facts(records, name, ids, boxed, worded, left_edge, top_edge):
    rows = records[name]
    boxes = [row['fake_image_box'] for row in rows if row['fake_image_box']]
    assert len({row['id'] for row in rows}) == ids  # an id is not unique
    assert (len(boxes), sum(bool(row['fake_text_pos']) for row in rows)) == (boxed, worded)
    assert (sum(box[0] == 0 for box in boxes), sum(box[1] == 0 for box in boxes)) == (left_edge, top_edge)
    for row in rows:
        faces = row['fake_cls'].startswith('face')
        words = 'text' in row['fake_cls']
        assert bool(row['fake_image_box']) == faces and bool(row['fake_text_pos']) == words
        assert row['fake_text_pos'] == sorted(set(row['fake_text_pos']))
        assert 2 <= len(row['mtcnn_boxes']) <= 5
        assert not faces or row['fake_image_box'] in row['mtcnn_boxes']
        assert re.fullmatch('[A-Za-z0-9]+( [A-Za-z0-9]+)*', row['text'])
    assert max(len(row['text'].split()) for row in rows) == 30


@pytest.mark.parametrize(('kind', 'max_length'), [('roberta', 50), ('bert', 20)])
def test_no_label_is_wrong(records, kind, max_length, request):
    """0 mismatches on all records, also where captions are cut (at 20 tokens, many are)."""
    folder = request.getfixturevalue(kind)
    fake, words, cut = 0, 0, 0
    for name, rows in records.items():
        dataset = build(name, folder, max_length)
        ids, labels = labels_by_offsets(rows, folder, max_length)
        assert len(dataset) == len(rows)
        wrong = 0
        for row in range(len(rows)):
            item = dataset[row]
            found = item['targets']['tokens'].tolist()
            wrong += item['inputs']['input_ids'].tolist() != ids[row] or found != labels[row]
            fake += sum(label == 1 for label in found)
            words += sum(label >= 0 for label in found)
            cut += len(found) == max_length
        assert wrong == 0
    if max_length == 50:
        assert 100 * fake / words == pytest.approx(15, abs=0.5)
    else:
        assert cut > 10_000


def test_raw_captions_would_shift_the_labels(captions, roberta):
    """Why the tokenizer is given words: its own count of words differs from ``text.split()``."""
    tokenizer = AutoTokenizer.from_pretrained(roberta, add_prefix_space=True)
    encoded = tokenizer(captions)
    shifted = sum(encoded.word_ids(row)[-2] != len(text.split()) - 1 for row, text in enumerate(captions))
    assert 100 * shifted / len(captions) == pytest.approx(4.5, abs=0.5)


def test_classes_of_the_items(records, roberta):
    dataset = build('val.json', roberta)
    for row in range(0, FILES['val.json'], 97):
        record, item = records['val.json'][row], dataset[row]
        image, text = dgm4_class_map()[record['fake_cls']]
        assert ('real', 'face_swap', 'face_attribute')[item['targets']['image_type']] == image
        assert ('real', 'text_swap', 'text_attribute')[item['targets']['text_type']] == text
        assert item['targets']['fake'] == (record['fake_cls'] != 'orig')
        box = item['data_samples'].gt_box
        assert (box is None and image == 'real') or box.tolist() == record['fake_image_box']
        assert item['data_samples'].index == row


def test_memory_is_one_array(roberta):
    """600 bytes a record: under 100 MB for all of DGM⁴, once for all workers."""
    dataset = build('val.json', roberta)
    assert dataset.data_list == []
    assert isinstance(dataset.data_bytes, np.ndarray)
    assert dataset.data_bytes.nbytes < 600 * len(dataset)
