"""The drawn news: bytes, DGM4's layout, and that captions and pictures tell a class only by the manipulation."""

import json
from collections import Counter, defaultdict

import cv2
import numpy as np
import pytest
from transformers import AutoTokenizer

from mmvlforge.forge import news as mini
from mmvlforge.forge import news_scenes as news

SIZES = dict(train=120, val=9, test=36)
FIELDS = ['id', 'image', 'text', 'fake_cls', 'fake_image_box', 'fake_text_pos', 'mtcnn_boxes']
MOOD_WORDS = {
    mood: set(news._VERBS[mood] + news._ADVERBS[mood] + news._ADJECTIVES[mood]) for mood in news.MOODS
}  # fmt: skip


def read(folder):
    return {split: json.loads((folder / f'metadata/{split}.json').read_text()) for split in SIZES}


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp('generated') / 'set'
    assert mini.make_mini_set(out, SIZES, seed=5)
    return out


@pytest.fixture(scope='module')
def many():
    """The true scene, the records' fields and the words of 4,800 records, without pictures."""
    result = []
    for index, fake_cls in enumerate(mini.class_list(4800, 1, 'train')):
        rng = np.random.default_rng([1, 7, index])
        scene = told = news.sample_scene(rng)
        if 'text_swap' in fake_cls:
            told = news.other_scene(scene, rng)
        elif 'text_attribute' in fake_cls:
            told = news.turn_mood(scene, rng)
        result.append((fake_cls, scene, told))
    return result


def test_same_bytes_with_other_workers(folder, tmp_path):
    done = []
    assert mini.make_mini_set(tmp_path / 'set', SIZES, 5, 2, progress=lambda *numbers: done.append(numbers))
    assert contents(tmp_path / 'set') == contents(folder)
    assert done == [(number, 165) for number in range(1, 166)]


def test_test_set_does_not_depend_on_the_training_size():
    first, _ = mini.make_record(0, 'test', 3, 'face_swap&text_swap')
    again, _ = mini.make_record(0, 'test', 3, 'face_swap&text_swap')
    other, _ = mini.make_record(1, 'test', 3, 'face_swap&text_swap')
    assert first == again != other
    assert mini.class_list(36, 0, 'test') == mini.class_list(36, 0, 'test') != mini.class_list(36, 1, 'test')


def test_layout_and_invariants(folder):
    assert not (folder / 'mini_dgm4.json.part').exists()
    seen = set()
    for split, records in read(folder).items():
        assert len(records) == SIZES[split]
        assert set(Counter(r['fake_cls'] for r in records)) == set(mini.CLASSES)
        for record in records:
            assert list(record) == FIELDS
            parts, words = record['fake_cls'].split('&'), record['text'].split()
            assert record['text'].isascii() and record['text'] == ' '.join(words)
            assert all(word.isalnum() for word in words) and 8 <= len(words) <= 20
            assert record['image'] not in seen
            seen.add(record['image'])
            image = cv2.imread(str(folder / record['image']))
            assert image.shape == (news.SIZE, news.SIZE, 3)

            face, box = parts[0].startswith('face'), record['fake_image_box']
            kind, source, *_, name = record['image'].removeprefix('DGM4/').split('/')
            if face:
                x1, y1, x2, y2 = box
                assert min(box) >= 0 and max(box) <= news.SIZE and x1 + 20 < x2 and y1 + 20 < y2
                assert box in record['mtcnn_boxes']
                methods = mini.SWAP_METHODS if parts[0] == 'face_swap' else mini.ATTRIBUTE_METHODS
                assert kind == 'manipulation' and source in methods and name.startswith(f'{record["id"]:06d}-')
            else:
                assert box == [] and kind == 'origin' and source in mini.SOURCES
            assert 2 <= len(record['mtcnn_boxes']) <= 5
            assert all(0 <= x1 < x2 <= news.SIZE and 0 <= y1 < y2 <= news.SIZE
                       for x1, y1, x2, y2 in record['mtcnn_boxes'])  # fmt: skip

            positions = record['fake_text_pos']
            assert bool(positions) == parts[-1].startswith('text')
            assert positions == sorted(set(positions)) and all(0 <= p < len(words) for p in positions)
            mood = [p for p, word in enumerate(words) if word in MOOD_WORDS['happy'] | MOOD_WORDS['unhappy']]
            assert len(mood) == 2
            if parts[-1] == 'text_attribute':
                assert positions == mood
            elif positions:
                marked = {words[p] for p in positions}
                assert not marked & {words[p] for p in mood}
                assert marked & set(news.OBJECTS) and marked & set(news.PLACES)


def test_class_shares():
    assert Counter(mini.class_list(1200, 0, 'test')) == {'orig': 400, **dict.fromkeys(mini.CLASSES[1:], 100)}
    assert Counter(mini.class_list(9, 0, 'val')) == dict.fromkeys(mini.CLASSES, 1)
    with pytest.raises(ValueError, match='val split needs at least 9 records'):
        mini.class_list(8, 0, 'val')


def test_manipulated_captions_keep_the_sentence(many):
    for fake_cls, scene, told in many:
        old, new = news.write_caption(scene), news.write_caption(told)
        differ = [word for word, true in zip(new, old) if word != true]
        assert len(old) == len(new)
        # A word is marked by its place; it is never elsewhere in the true caption.
        assert not set(differ) & set(old)
        if 'text_swap' in fake_cls:
            assert (told.main, told.mood, told.template) == (scene.main, scene.mood, scene.template)
            assert told.object != scene.object and told.place != scene.place
            assert (told.second is None) == (scene.second is None)
            assert told.second is None or told.second not in (scene.main, scene.second)
        elif 'text_attribute' in fake_cls:
            assert len(differ) == 2 and set(differ) <= MOOD_WORDS[news.opposite(scene.mood)]
        else:
            assert differ == []


def test_captions_do_not_tell_the_class(many):
    # 3,200 of 4,800 captions are of text class 'real'. A share p of n captions scatters by sqrt(p (1 - p) / n): at
    # most 0.018 for n = 800; the bound is about 4 of these.
    groups = defaultdict(list)
    for fake_cls, _, told in many:
        part = fake_cls.split('&')[-1]
        groups[part if part.startswith('text') else 'real'].append(news.write_caption(told))
    shares = {}
    for name, captions in groups.items():
        counts = Counter(word for caption in captions for word in set(caption))
        shares[name] = {word: count / len(captions) for word, count in counts.items()}
    assert sorted(groups) == ['real', 'text_attribute', 'text_swap']
    for word in set().union(*shares.values()):
        values = [shares[name].get(word, 0) for name in groups]
        assert max(values) - min(values) < 0.075, word
    lengths = [np.mean([len(caption) for caption in captions]) for captions in groups.values()]
    assert max(lengths) - min(lengths) < 0.4


def test_only_the_face_is_touched():
    rng = np.random.default_rng(0)
    for _ in range(6):
        picture = news.draw_scene(news.sample_scene(rng), rng)
        head = picture.heads[0]
        x1, y1, x2, y2 = head.box
        donor = (head.row + 1) % len(news.PEOPLE)
        for change in (lambda image: mini.swap_face(image, head, donor, rng),  # noqa: B023
                       lambda image: mini.turn_face(image, head, rng)):  # noqa: B023  # fmt: skip
            image = picture.image.copy()
            change(image)
            moved = np.abs(image.astype(int) - picture.image).max(2)
            assert moved[y1:y2, x1:x2].mean() > 3
            moved[max(0, y1 - 4) : y2 + 4, max(0, x1 - 4) : x2 + 4] = 0
            assert not moved.any()


def test_tokenizer(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder / 'tokenizer', local_files_only=True)
    assert tokenizer.is_fast and tokenizer.model_max_length == 50
    assert tokenizer.convert_tokens_to_ids(['<s>', '<pad>', '</s>', '<unk>', '<mask>']) == [0, 1, 2, 3, 4]
    assert (tokenizer.cls_token, tokenizer.sep_token, tokenizer.mask_token) == ('<s>', '</s>', '<mask>')
    for record in read(folder)['test']:
        words = record['text'].split()
        encoded = tokenizer(words, is_split_into_words=True)
        assert encoded.input_ids[0] == 0 and encoded.input_ids[-1] == 2
        assert list(dict.fromkeys(encoded.word_ids()[1:-1])) == list(range(len(words)))
        assert tokenizer.decode(encoded.input_ids, skip_special_tokens=True).strip() == record['text']
        assert len(encoded.input_ids) <= 50


def test_reuse_and_refusal(tmp_path):
    sizes = dict(train=9, val=9, test=9)
    out = tmp_path / 'set'
    assert mini.make_mini_set(out, sizes, seed=0)
    before = contents(out)
    assert not mini.make_mini_set(out, sizes, seed=0)
    with pytest.raises(ValueError, match='holds a set made with'):
        mini.make_mini_set(out, sizes, seed=1)
    assert contents(out) == before
    assert mini.make_mini_set(out, sizes, seed=1, force=True)
    assert contents(out) != before
    # A run that was cut off starts anew, whatever it held.
    (out / 'mini_dgm4.json').rename(out / 'mini_dgm4.json.part')
    assert mini.make_mini_set(out, sizes, seed=0)
    assert contents(out) == before


def test_never_deletes_a_real_data_set(tmp_path):
    (tmp_path / 'DGM4').mkdir()
    with pytest.raises(ValueError, match='DGM4/ of another origin'):
        mini.make_mini_set(tmp_path, SIZES, force=True)
    assert (tmp_path / 'DGM4').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(sizes=dict(SIZES, train=5)), 'train split needs at least 9 records'),
        (dict(sizes=SIZES, seed=-1), 'seed must not be negative: -1'),
        (dict(sizes=SIZES, workers=0), 'At least one worker is needed, not 0'),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        mini.make_mini_set(tmp_path / 'set', **arguments)
    assert not (tmp_path / 'set').exists()
