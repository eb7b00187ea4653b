"""The mini caption set: bytes, formats, and that captions are true of their pictures and negatives are not."""

import csv
import json
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from transformers import AutoTokenizer

from mmvlforge.forge import caption_scenes as scenes
from mmvlforge.forge import captions as mini

SIZES = dict(train=12, val=5, test=32)
SCENE = scenes.Scene(
    scenes.Group(2, 'red', 'ball'), scenes.Group(1, 'blue', 'car'), 'left', 'park', 'girl', 'waving'
)  # fmt: skip


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp('generated') / 'set'
    assert mini.make_mini_set(out, SIZES, seed=5)
    return out


def test_same_bytes_with_other_workers(folder, tmp_path):
    done = []
    assert mini.make_mini_set(tmp_path / 'set', SIZES, 5, 2, progress=lambda *numbers: done.append(numbers))
    assert contents(tmp_path / 'set') == contents(folder)
    assert done == [(number, 61) for number in range(1, 62)]  # 49 pictures, 6 pairs, 6 videos


def test_test_set_does_not_depend_on_the_training_size(folder, tmp_path):
    mini.make_mini_set(tmp_path / 'set', dict(SIZES, train=5), seed=5)
    again, first = contents(tmp_path / 'set'), contents(folder)
    for part in ('images/000000900001.jpg', 'winoground/examples.jsonl', 'sugarcrepe/add_obj.json', 'msrvtt/test.csv'):
        assert again[part] == first[part]
    assert mini.make_picture(5, 'test', 3)[0] != mini.make_picture(6, 'test', 3)[0]


def test_captions():
    told = [' '.join(scenes.write_caption(SCENE, row)) for row in range(8)]
    assert told[0] == 'two red balls left of a blue car in the park'
    assert told[2] == 'a girl is waving near two red balls and a blue car'
    assert told[5] == 'a waving girl in the park near two red balls'
    assert ' '.join(scenes.write_caption(SCENE.turned(), 1)) == 'in the park a blue car right of two red balls'
    above = replace(SCENE, relation='above', second=scenes.Group(3, 'pink', 'cat'))
    told.append(' '.join(scenes.write_caption(above, 4)))
    assert told[-1] == 'two red balls above three pink cats while a girl is waving'
    assert scenes.caption_roles(SCENE, 5) == [
        '', 'action', 'person', '', '', 'place', '', 'first.count', 'first.colour', 'first.object'
    ]  # fmt: skip
    words = {word for caption in told for word in caption.split()}
    assert words <= set(scenes.VOCABULARY)


def test_facts_are_independent_and_words_in_range():
    rng = np.random.default_rng(0)
    drawn = [scenes.sample_scene(rng) for _ in range(4000)]
    for values, table in (
        ([s.first.colour for s in drawn], scenes.COLOURS),
        ([s.second.object for s in drawn], scenes.OBJECTS),
        ([s.place for s in drawn], scenes.PLACES),
        ([(s.person, s.action) for s in drawn], range(24)),
        ([s.relation for s in drawn], scenes.RELATIONS),
        ([s.first.count for s in drawn], range(3)),
    ):
        counts = Counter(values)
        assert len(counts) == len(table)
        # Within 5 standard deviations of the mean.
        mean = 4000 / len(table)
        assert max(abs(n - mean) for n in counts.values()) < 5 * mean**0.5
    assert all(s.first.object != s.second.object for s in drawn)
    lengths = {len(scenes.write_caption(s, row)) for s in drawn[:200] for row in range(8)}
    assert min(lengths) >= 6 and max(lengths) <= 16


@pytest.mark.parametrize(
    'words, false',
    [
        ('two red balls left of a blue car in the park', False),
        ('two red balls right of a blue car in the park', True),
        ('two red balls left of a blue car in the snow', True),
        ('three red balls left of a blue car in the park', True),
        ('two red balls left of a red car in the park', True),
        ('two red balls left of a blue car with the park', False),  # function words state nothing
        ('two park balls left of a blue car in the park', True),
        # The other group first, the relation turned round: true again.
        ('a blue car right of two red balls in the park', False),
        ('a blue car left of two red balls in the park', True),
    ],
)
def test_judge(words, false):
    assert scenes.caption_is_false(words.split(), scenes.caption_roles(SCENE, 0), SCENE) == false


def test_pictures_show_the_relation():
    """The group's colour lies where the relation says."""
    rng = np.random.default_rng(3)
    groups = scenes.Group(3, 'red', 'house'), scenes.Group(2, 'yellow', 'house')
    for relation, axis, sign in (('left', 1, -1), ('right', 1, 1), ('above', 0, -1), ('below', 0, 1)):
        for _ in range(5):
            scene = scenes.Scene(*groups, relation, 'snow', 'man', 'waving')
            image = scenes.draw_scene(scene, scenes.sample_layout(scene, rng)).astype(int)
            centres = [
                np.argwhere(np.abs(image - scenes.COLOURS[colour]).max(2) < 12).mean(0) for colour in ('red', 'yellow')
            ]
            assert sign * (centres[0][axis] - centres[1][axis]) > 20


def test_karpathy_file_and_scenes(folder):
    data = json.loads((folder / 'dataset_mini.json').read_text())
    assert data['dataset'] == 'mini'
    assert Counter(image['split'] for image in data['images']) == SIZES
    told = mini.read_scenes(folder / 'scenes.json')
    sentids = []
    for imgid, image in enumerate(data['images']):
        assert list(image) == ['filepath', 'sentids', 'filename', 'imgid', 'split', 'sentences', 'cocoid']
        assert image['imgid'] == imgid
        assert cv2.imread(str(folder / image['filepath'] / image['filename'])).shape == (128, 128, 3)
        scene, captions = told[image['cocoid']]
        assert len({caption.template for caption in captions}) == len(image['sentences']) == 5
        for caption, sentence in zip(captions, image['sentences']):
            assert sentence['raw'] == ' '.join(sentence['tokens']) and sentence['imgid'] == imgid
            assert not scenes.caption_is_false(sentence['tokens'], caption.roles(scene), scene)
        sentids += image['sentids']
        assert image['sentids'] == [sentence['sentid'] for sentence in image['sentences']]
    assert sentids == list(range(5 * len(data['images'])))


def test_winoground(folder):
    rows = [json.loads(line) for line in (folder / 'winoground/examples.jsonl').read_text().splitlines()]
    assert [row['collapsed_tag'] for row in rows] == ['Object', 'Relation', 'Both'] * 2
    modes = set()
    for index, row in enumerate(rows):
        assert list(row) == ['id', 'image_0', 'image_1', 'caption_0', 'caption_1', 'tag', 'secondary_tag',
                             'num_main_preds', 'collapsed_tag']  # fmt: skip
        assert row['id'] == index and row['image_1'] == f'ex_{index}_img_1'
        assert sorted(row['caption_0'].split()) == sorted(row['caption_1'].split())
        assert row['caption_0'] != row['caption_1']
        assert row['num_main_preds'] == 1 + ('while' in row['caption_0'])
        path = str(folder / 'winoground/images' / f'{row["image_0"]}.png')
        modes.add(cv2.imread(path, cv2.IMREAD_UNCHANGED).shape)
    assert modes == {(128, 128, 3), (128, 128, 4)}


def test_sugarcrepe(folder):
    told = mini.read_scenes(folder / 'scenes.json')
    assert {path.stem for path in (folder / 'sugarcrepe').iterdir()} == set(mini.CATEGORIES)
    for name in mini.CATEGORIES:
        rows = json.loads((folder / f'sugarcrepe/{name}.json').read_text())
        assert list(rows) == [str(n) for n in range(6)]
        for row in rows.values():
            assert list(row) == ['filename', 'caption', 'negative_caption']
            assert (folder / 'images' / row['filename']).exists()
            scene, _ = told[int(row['filename'].removesuffix('.jpg'))]
            caption, negative = row['caption'].split(), row['negative_caption'].split()
            if name == 'add_obj':
                assert negative[: len(caption)] == caption
                assert negative[-1] not in (scene.first.object, scene.second.object)
                continue
            roles = scenes.caption_roles(scene, 0)
            assert scenes.caption_is_false(negative, roles, scene)
            if name == 'add_att':
                assert negative[:1] + negative[2:] == caption
            else:
                assert not scenes.caption_is_false(caption, roles, scene)


def test_msrvtt(folder):
    with open(folder / 'msrvtt/test.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and rows[2]['key'] == 'ret2' and rows[2]['video_id'] == 'video2'
    for row in rows:
        assert list(row) == ['key', 'vid_key', 'video_id', 'sentence'] and row['sentence']
        video = cv2.VideoCapture(str(folder / 'msrvtt/videos' / f'{row["video_id"]}.mp4'))
        frames = []
        while (read := video.read())[0]:
            frames.append(read[1].astype(int))
        assert len(frames) == mini.FRAMES >= 8
        assert np.abs(frames[0] - frames[6]).mean() > 1  # something moves


def test_tokenizer_holds_every_word(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder / 'tokenizer', local_files_only=True)
    assert tokenizer.is_fast and tokenizer.model_max_length == 32
    assert tokenizer.convert_tokens_to_ids(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']) == [0, 1, 2, 3, 4]
    words = scenes.write_caption(SCENE, 3)
    ids = tokenizer(' '.join(words).upper()).input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == ['[CLS]', *words, '[SEP]']
    assert tokenizer.unk_token_id not in tokenizer(' '.join(scenes.VOCABULARY)).input_ids


def test_reuse_and_refusal(tmp_path):
    out = tmp_path / 'set'
    sizes = dict(train=5, val=5, test=5)
    assert mini.make_mini_set(out, sizes)
    before = contents(out)
    assert not mini.make_mini_set(out, sizes)
    with pytest.raises(ValueError, match='holds a set made with'):
        mini.make_mini_set(out, sizes, seed=1)
    assert contents(out) == before
    assert mini.make_mini_set(out, sizes, seed=1, force=True)
    assert contents(out) != before
    foreign = tmp_path / 'coco'
    foreign.mkdir()
    (foreign / 'dataset_mini.json').write_text('{}')
    with pytest.raises(ValueError, match='dataset_mini.json of another origin'):
        mini.make_mini_set(foreign, sizes, force=True)
    with pytest.raises(ValueError, match='train split holds 5 to 800000 pictures, not 3'):
        mini.make_mini_set(tmp_path / 'other', dict(sizes, train=3))
    assert not (tmp_path / 'other').exists()
