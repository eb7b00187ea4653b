"""Text that comes in: DGM⁴ records, caption sets, predictions, lists of queries."""

import copy
import csv
import io
import json
import math
import re
from collections.abc import Iterator

import pytest
from campaign import campaign, told
from mmengine.registry import init_default_scope
from mutations import damage, dumps, encoded, mutate
from PIL import Image
from torchvision.ops import box_convert
from transformers import BertTokenizerFast

from mmvlforge.annotations import RecordFormat, dgm4_class_map, read_annotations, read_captions
from mmvlforge.apis.inputs import read_queries
from mmvlforge.datasets import DGM4Dataset
from mmvlforge.datasets.dgm4_check import find_problems
from mmvlforge.datasets.transforms import WordTokenizer
from mmvlforge.evaluation.predictions import read_predictions
from mmvlforge.evaluation.scoring import join, score_rows

WORDS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'man', 'red', 'car', '##s', 'left', 'of', 'runs')


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp('words')
    (folder / 'words.txt').write_text('\n'.join(WORDS))
    BertTokenizerFast(vocab_file=str(folder / 'words.txt')).save_pretrained(folder / 'saved')
    init_default_scope('mmvlforge')
    return WordTokenizer(str(folder / 'saved'), max_length=20)


# What each JSON text says, by the standard library alone.


class Broken:
    """Stands for what counts as broken: a key twice, a hundred levels and more, an integer without end."""


def _pairs(pairs):
    return dict(pairs) if len({key for key, _ in pairs}) == len(pairs) else Broken()


def _depth(value) -> int:
    if not isinstance(value, (dict, list)):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)


def _holds_broken(value) -> bool:
    if isinstance(value, (dict, list)):
        return any(map(_holds_broken, value.values() if isinstance(value, dict) else value))
    return isinstance(value, Broken)


def _value(text):
    """The value of a JSON text, Broken of a broken one."""
    try:
        value = json.loads(text, object_pairs_hook=_pairs)
    except (ValueError, RecursionError):
        return Broken()
    return Broken() if _depth(value) > 100 or _holds_broken(value) else value


def _entries(data: bytes) -> list | None:
    """The entries of an annotation file, Broken where one is; None of a file that has none that can be told."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if not text.lstrip().startswith('['):
        return [_value(line) for line in text.split('\n') if line.strip()]
    try:
        values = json.loads(text, object_pairs_hook=_pairs)
    except (ValueError, RecursionError):
        return None
    return [Broken() if _holds_broken(value) or _depth(value) > 100 else value for value in values]


def _is_text(value) -> bool:
    return isinstance(value, str) and '\0' not in value and not any('\ud800' <= letter <= '\udfff' for letter in value)


def _is_number(value) -> bool:
    return type(value) in (int, float) and abs(value) < 2**31 and not math.isnan(value)


# DGM⁴


CLASSES = dgm4_class_map()
FIELDS = {'image', 'text', 'fake_cls', 'fake_image_box', 'fake_text_pos'}
RECORDS = [
    dict(id=1, image='a.png', text='a red car', fake_cls='orig', fake_image_box=[], fake_text_pos=[]),
    dict(id=2, image='a.png', text='a man', fake_cls='face_swap', fake_image_box=[1, 2, 30, 20], fake_text_pos=[]),
    dict(id=3, image='a.png', text='a man runs', fake_cls='text_swap', fake_image_box=[], fake_text_pos=[1, 2]),
    dict(
        **dict(id=4, image='a.png', text='left of cars', fake_cls='face_attribute&text_attribute'),
        **dict(fake_image_box=[0.5, 0, 40, 30], fake_text_pos=[0], mtcnn_boxes=[[1, 2, 3, 4]]),
    ),
]


def _is_good(record) -> bool:
    """What docs/data.md asks of a record, said a second time."""
    if not isinstance(record, dict) or not set(record) >= FIELDS:
        return False
    if not all(_is_text(record[field]) and record[field].split() for field in ('image', 'text')):
        return False
    if not isinstance(record['fake_cls'], str) or record['fake_cls'] not in CLASSES:
        return False
    image_type, text_type = CLASSES[record['fake_cls']]
    box, words = record['fake_image_box'], record['fake_text_pos']
    if not isinstance(box, list) or not isinstance(words, list) or not all(type(word) is int for word in words):
        return False
    if (len(box), bool(words)) != (0 if image_type == 'real' else 4, text_type != 'real'):
        return False
    if box and not (all(map(_is_number, box)) and 0 <= box[0] < box[2] and 0 <= box[1] < box[3]):
        return False
    return all(0 <= word < len(record['text'].split()) for word in words)


def test_records(tokenizer, tmp_path):
    """Training with and without skipping, the checker, and the rules as the documentation says them agree."""
    pipeline = [tokenizer, dict(type='LoadImage'), dict(type='PackManipulationInputs')]

    def build(path, **settings):
        # MMEngine collects garbage when it serialises, a quarter of a second each time.
        settings['serialize_data'] = False
        return DGM4Dataset(path.name, data_root=str(path.parent), pipeline=pipeline, **settings)

    def check(rng, folder):
        Image.new('RGB', (40, 30), (200, 90, 20)).save(folder / 'a.png')
        records = copy.deepcopy(rng.sample(RECORDS, rng.randint(2, 4)))
        for _ in range(rng.choice([0, 1, 1, 2])):
            if records:
                records[rng.randrange(len(records))] = mutate(rng, rng.choice(records))
        lines = rng.random() < 0.5
        text = '\n'.join(dumps(rng, record) for record in records) if lines else dumps(rng, records)
        path = folder / 'ann.json'
        path.write_bytes(encoded(rng, text))
        entries = _entries(path.read_bytes())
        boxes = [entry.get('fake_image_box') for entry in entries or [] if isinstance(entry, dict)]
        if any(_is_number(v) and -1 <= v < 0 for box in boxes if isinstance(box, list) for v in box):
            return 'skipped'  # a part of a pixel beyond the edge: the tolerance is a setting
        good = [i for i, entry in enumerate(entries or []) if _is_good(entry)]

        # The checker.
        broken: dict[int, str] = {}
        try:
            found = read_annotations(path, broken)
        except ValueError as error:
            assert not entries
            told(error, path)
        else:
            assert len(found) == len(entries)
            for message in broken.values():
                told(ValueError(message), path)
            bad = {*broken, *find_problems(found, RecordFormat(CLASSES))}
            assert [i for i in range(len(found)) if i not in bad] == good

        # Training that skips.
        try:
            skipping = build(path, on_bad_record='skip')
        except ValueError as error:
            assert not good
            told(error, path)
        else:
            assert [skipping.get_data_info(i)['index'] for i in range(len(skipping))] == good
        # Training that stops.
        try:
            dataset = build(path)
        except ValueError as error:
            assert not entries or len(good) < len(entries)
            told(error, path)
            return 'skipped' if good else 'error'
        assert len(good) == len(entries)
        outcome = 'right'
        for i, record in enumerate(entries):
            try:
                item = dataset[i]
            except ValueError as error:
                right, bottom = record['fake_image_box'][2:] or (0, 0)
                assert record['image'] != 'a.png' or right > 40 or bottom > 30
                outcome = told(error, path, f'record {i}')
                continue
            sample, words = item['data_samples'], record['text'].split()
            assert (sample.text, sample.fake_cls) == (record['text'], record['fake_cls'])
            assert all(0 <= word < len(words) for word in sample.word_ids)
            assert sample.gt_tokens.tolist() == [int(word in record['fake_text_pos']) for word in sample.word_ids]
            box = sample.gt_box
            assert (box is None) == (not record['fake_image_box'])
            if box is not None:  # up to a pixel beyond the edge is cut for the model alone
                assert box.tolist() == record['fake_image_box']
                taught = box_convert(item['targets']['box'], 'cxcywh', 'xyxy').tolist()
                expected = [min(max(v / most, 0), 1) for v, most in zip(box.tolist(), (40, 30, 40, 30))]
                assert taught == pytest.approx(expected, abs=1e-6)
        return outcome

    campaign('records', tmp_path / 'case', 600, check)


# Caption sets


def _texts(value) -> tuple:
    return (value,) if isinstance(value, str) else tuple(value)


def _lines(text: str) -> list[str]:
    return re.split('\r\n|\r|\n', text)


def _karpathy(content) -> Iterator[tuple]:
    for image in content['images']:
        if image['split'] == 'test':
            folder = f'{image["filepath"]}/' if 'filepath' in image else ''
            yield (folder + image['filename'],), tuple(s['raw'] for s in image['sentences']), None


def _visual_genome(content) -> Iterator[tuple]:
    for region in (region for image in content for region in image['regions']):
        box = tuple(region[side] for side in ('x', 'y', 'width', 'height'))
        yield (f'{region["image_id"]}.jpg',), (region['phrase'],), box


def _aro(content) -> Iterator[tuple]:
    for record in content:
        box = tuple(record[f'bbox_{side}'] for side in 'xywh')
        category = ' '.join(_texts(record['attributes'])) if 'attributes' in record else record['relation_name']
        yield (record['image_path'],), (record['true_caption'], record['false_caption']), box, category


REGION = dict(image_id=1, x=4, y=5, width=6, height=7, phrase='a red car')
# format → settings, a file's content, and how to take pictures, captions and box out of it
CAPTION_SETS = {
    'karpathy': (
        dict(split='test'),
        {
            'images': [
                dict(filename='1.jpg', split='test', sentences=[dict(raw='a man'), dict(raw='a car')]),
                dict(filename='2.jpg', filepath='val', split='test', sentences=[dict(raw='a red car')]),
                dict(filename='3.jpg', split='train', sentences=[dict(raw='a man runs')]),
            ]
        },
        _karpathy,
    ),
    'albef': (
        {},
        [dict(image='1.jpg', caption='a man', bbox=[1, 2, 3, 4.5]), dict(image='2.jpg', caption=['a car', 'cars'])],
        lambda content: (
            ((r['image'],), _texts(r['caption']), tuple(r['bbox']) if r.get('bbox') is not None else None)
            for r in content
        ),
    ),
    'sbu': (
        dict(file_name='{basename}'),
        dict(image_urls=['http://x/1.jpg', 'http://x/2.jpg?a'], user_ids=['u', 'v'], captions=['a man', '']),
        lambda content: (
            ((url.split('?')[0].split('/')[-1],), (caption,), None)
            for url, caption in zip(content['image_urls'], content['captions'], strict=True)
        ),
    ),
    'visual_genome': ({}, [dict(id=1, regions=[REGION, dict(REGION, x=-1)]), dict(id=2, regions=[])], _visual_genome),
    'winoground': (
        {},
        [
            dict(
                **dict(image_0=f'{i}a', image_1=f'{i}b', caption_0='a man', caption_1='a car'),
                **dict(collapsed_tag='Object', num_main_preds=1),
            )
            for i in range(3)
        ],
        lambda content: (
            ((f'{r["image_0"]}.png', f'{r["image_1"]}.png'), (r['caption_0'], r['caption_1']), None, r['collapsed_tag'])
            for r in content
        ),
    ),
    'sugarcrepe': (
        {},
        {str(i): dict(filename=f'{i}.jpg', caption='a man', negative_caption='a car') for i in range(3)},
        lambda content: (((r['filename'],), (r['caption'], r['negative_caption']), None) for r in content.values()),
    ),
    'aro': (
        {},
        [
            dict(
                **dict(image_path=f'{i}.jpg', bbox_x=1, bbox_y=2, bbox_w=3, bbox_h=4, relation_name='on'),
                **dict(true_caption='a man', false_caption='a car'),
            )
            for i in range(3)
        ],
        _aro,
    ),
    'url_table': (
        dict(file_name='{row}.jpg'),
        'a man\thttp://x/1\na "car\thttp://x/2\nred cars\thttp://x/3\n',
        lambda text: (
            ((f'{row}.jpg',), (line.split('\t')[0],), None)
            for row, line in enumerate(text.removesuffix('\n').split('\n') if text else [])
        ),
    ),
    'msrvtt': (
        {},
        'key,vid_key,video_id,sentence\nr0,m0,v0,a man runs\nr1,m1,v1,"a man, a car"\nr2,m2,v2,a red car\n',
        lambda text: (
            ((f'{row["video_id"]}.mp4',), (row['sentence'],), None)
            for line in _lines(text)[1:]  # each by itself
            if line
            for row in csv.DictReader([_lines(text)[0], line])
        ),
    ),
}


def _is_usable(images, captions, box, *category) -> bool:
    return all(map(_is_text, [*images, *captions, *category])) and (box is None or all(map(_is_number, box)))


def test_caption_sets(tmp_path):
    def check(rng, folder):
        name = rng.choice(list(CAPTION_SETS))
        settings, content, take = CAPTION_SETS[name]
        if isinstance(content, str):
            text = content
            for _ in range(rng.choice([0, 1, 2])):
                at = rng.randrange(len(text) + 1)
                more = rng.choice(
                    ['"', '"', '\t', ',', '\n', '\0', '\r', "'", '\ud800', 'x' * 140_000, '\u2028', '\x85']
                )
                text = text[:at] + more + text[at + rng.choice([0, 0, 1, 20]) :]
        else:
            content = copy.deepcopy(content)
            for _ in range(rng.choice([0, 1, 1, 2])):
                content = mutate(rng, content)
            text = dumps(rng, content)
            if name == 'winoground' and isinstance(content, list):
                text = '\n'.join(dumps(rng, record) for record in content)
        path = folder / 'ann.json'
        path.write_bytes(encoded(rng, text))
        source = folder if name == 'sugarcrepe' else path

        broken: list[str] = []
        try:
            kept = list(read_captions(str(source), name, broken=broken, **settings))
        except (ValueError, OSError) as error:
            with pytest.raises(type(error)):
                list(read_captions(str(source), name, **settings))
            return told(error, source)
        data = path.read_bytes().decode()
        if isinstance(CAPTION_SETS[name][1], str):
            expected = list(take(data))
        elif name in ('albef', 'aro', 'visual_genome', 'winoground'):
            expected = list(take(_entries(data.encode())))
        else:
            expected = list(take(_value(data)))
        usable = [record for record in expected if _is_usable(*record)]
        assert [(r.images, r.captions, r.box) for r in kept] == [record[:3] for record in usable]
        assert len(broken) == len(expected) - len(usable)
        for message in broken:
            told(ValueError(message), source, 'record ')
        if not broken:
            assert list(read_captions(str(source), name, **settings)) == kept
            return 'right'
        with pytest.raises(ValueError, match='record ') as error:
            list(read_captions(str(source), name, **settings))
        assert str(error.value) == broken[0]
        return 'skipped'

    campaign('caption_sets', tmp_path / 'case', 1500, check)


# Predictions


ROWS = [
    dict(
        **dict(index=i, fake_score=0.25 * i, type_scores=[-1.0, 2.0, 0.5 * i, -3], box=box),
        **dict(word_ids=[0, 1, 1], fake_tokens=[0, 1, i % 2]),
    )
    for i, box in enumerate([None, [1, 2, 30, 20], None, [0, 0, 9, 9.5]])
]


def _is_right(row) -> bool:
    """What docs/evaluation.md asks of the fields of a row, of those that are there."""
    n_words = len(RECORDS[row['index']]['text'].split())
    words, tokens, box = (row.get(name) for name in ('word_ids', 'fake_tokens', 'box'))
    if words is not None:
        assert all(type(w) is int and 0 <= w < n_words for w in words) and words == sorted(words)
        assert len(tokens) == len(words) and all(type(token) is int and token in (0, 1) for token in tokens)
    if box is not None:
        assert len(box) == 4 and all(type(v) in (int, float) and math.isfinite(v) for v in box)
        assert box[0] < box[2] and box[1] < box[3]
    assert type(row['fake_score']) in (int, float) and 0 <= row['fake_score'] <= 1
    return type(row['index']) is int


def test_predictions(tmp_path):
    def check(rng, folder):
        rows = copy.deepcopy(ROWS)
        rng.shuffle(rows)
        for _ in range(rng.choice([0, 1, 1, 2])):
            at = rng.randrange(len(rows))
            rows[at] = mutate(rng, rows[at])
        text = '\n'.join(dumps(rng, row) for row in rows)
        path = folder / 'predictions.jsonl'
        path.write_bytes(encoded(rng, text))
        try:
            found, lines = read_predictions(path)
            joined = join(RECORDS, found, pred_file=path, lines=lines)
        except (ValueError, OSError) as error:
            return told(error, path)
        values = [_value(line) for line in path.read_bytes().decode().split('\n') if line.strip()]
        by_index = {value['index']: value for value in values if isinstance(value, dict) and 'index' in value}
        assert list(joined.predictions) == [by_index[i] for i in range(len(RECORDS))]
        assert all(map(_is_right, joined.predictions))
        result = score_rows(joined)
        for name, value in result.items():
            assert not isinstance(value, float) or 0 <= value <= 100, f'{name} is {value}'
        assert score_rows(join(RECORDS, joined.predictions[::-1])) == result
        if joined.predictions == ROWS:
            assert result == score_rows(join(RECORDS, ROWS))
        return 'right'

    campaign('predictions', tmp_path / 'case', 800, check)


# Queries


QUERIES = [
    dict(image='a.png', caption='a red car', id='1'),
    dict(image='b.png', caption='', id=''),
    dict(caption='cars'),
]


def test_queries(tmp_path):
    def check(rng, folder):
        queries = copy.deepcopy(QUERIES)
        if rng.random() < 0.5:
            for _ in range(rng.choice([0, 1, 2])):
                queries = mutate(rng, queries)
            path = folder / 'queries.jsonl'
            lines = queries if isinstance(queries, list) else [queries]
            path.write_bytes(encoded(rng, '\n'.join(dumps(rng, query) for query in lines)))
        else:
            path = folder / 'queries.csv'
            table = io.StringIO()
            writer = csv.DictWriter(table, ['image', 'caption', 'id'])
            writer.writeheader()
            writer.writerows(queries)
            data = table.getvalue().encode()
            path.write_bytes(damage(rng, data) if rng.random() < 0.8 else data)
        try:
            found = list(read_queries(str(path)))
        except (ValueError, OSError) as error:
            return told(error, path)
        text = path.read_bytes().decode('utf-8-sig')
        if path.suffix == '.csv':
            expected = list(csv.DictReader(io.StringIO(text, newline='')))
        else:
            expected = [_value(line) for line in text.split('\n') if line.strip()]
        assert len(found) == len(expected)
        for query, fields in zip(found, expected):
            for name in ('image', 'caption', 'id'):
                value = fields.get(name)
                value = None if isinstance(value, str) and not value.strip() else value
                value = str(folder / value) if name == 'image' and value is not None else value
                assert getattr(query, name) == value or value != value
            assert all(text is None or _is_text(text) for text in (query.image, query.caption))
        return 'right'

    campaign('queries', tmp_path / 'case', 1500, check)
