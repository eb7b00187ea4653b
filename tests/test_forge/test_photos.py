"""Sets made from one's own photos: layout, truth of the labels, equal bytes, and that nothing but the forgery tells.

The photos are drawn. Their faces are where the caption file says, or where a cascade looks at them is told in the test.
"""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from project import ROOT
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from mmvlforge.annotations import record_problems
from mmvlforge.cli import main
from mmvlforge.datasets.dgm4_check import find_problems, format_of
from mmvlforge.forge import faces as face_finders
from mmvlforge.forge import photos
from mmvlforge.forge.face_blend import Blending, blend_face, face_mask
from mmvlforge.forge.faces import find_faces, turn_box
from mmvlforge.forge.photo_texts import marks, pair_up, read_antonyms, swap_in_pairs, turn_in_pairs, words_of

REAL = Path(os.environ.get('MMVLFORGE_REAL_DATA', Path(__file__).parents[3] / 'shared' / 'data' / 'real'))
BASE = ROOT / 'configs/_base_/datasets/forged_photos.py'
FIELDS = ['id', 'image', 'text', 'fake_cls', 'fake_image_box', 'fake_text_pos', 'mtcnn_boxes', 'photo', 'true_text']
COLOURS = ('black', 'white', 'red', 'blue', 'green', 'yellow')
WHO = ('man', 'woman', 'boy', 'girl', 'dog', 'horse')
DOES = ('running', 'walking', 'sitting', 'standing')
PLACES = ('beach', 'street', 'park', 'field', 'kitchen', 'river')
FACE = (40, 30, 90, 95)


def drawn(rng: np.random.Generator, face: bool) -> np.ndarray:
    """A photo of 160 x 120 pixels: soft patches and grain, with an oval face at ``FACE`` or none."""
    image = cv2.resize(rng.uniform(60, 200, (4, 5, 3)).astype(np.float32), (160, 120), interpolation=cv2.INTER_CUBIC)
    if face:
        x1, y1, x2, y2 = FACE
        middle, axes = ((x1 + x2) // 2, (y1 + y2) // 2), ((x2 - x1) // 2, (y2 - y1) // 2)
        cv2.ellipse(image, middle, axes, 0, 0, 360, (130, 160, 210), -1)
        for side in (-1, 1):
            cv2.circle(image, (middle[0] + 10 * side, middle[1] - 8), 4, (60, 60, 60), -1)
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def caption(rng: np.random.Generator) -> str:
    def pick(words):
        return words[int(rng.integers(len(words)))]

    return f'A {pick(WHO)} in {pick(COLOURS)} is {pick(DOES)} near the {pick(PLACES)} .'


@pytest.fixture(scope='module')
def archive(tmp_path_factory):
    """60 photos with three captions each, every second with a face; and what every archive has besides."""
    folder = tmp_path_factory.mktemp('archive')
    rng = np.random.default_rng(0)
    rows = []
    for number in range(60):
        name, face = f'{number:03d}.png', number % 2 == 0
        cv2.imwrite(str(folder / name), drawn(rng, face))
        boxes = [list(FACE), [0, 0, 9, 9]] if face else []  # the second one is too small
        rows.append(dict(image=name, caption=[caption(rng) for _ in range(3)], faces=boxes))
    (folder / 'copy.png').write_bytes((folder / '000.png').read_bytes())
    (folder / 'broken.jpg').write_bytes((folder / '001.png').read_bytes()[:300])
    rows += [dict(image=name, caption='A dog .', faces=[]) for name in ('copy.png', 'broken.jpg', 'none.jpg')]
    rows.append(dict(image='empty.png', caption='...', faces=[]))
    (folder / 'captions.json').write_text(json.dumps(rows))
    return folder


def make(archive, out, workers=1, seed=0, **settings):
    lists = settings.pop('lists', None)
    force = settings.pop('force', False)
    settings = photos.Settings(**{'faces': 'file', 'val': 0.2, 'test': 0.2, **settings})
    reader = dict(type='albef', faces='faces')
    return photos.make_photo_set(
        archive / 'captions.json', out, archive, reader, seed, workers, force, settings, lists, sheet=4
    )


@pytest.fixture(scope='module')
def made(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp('made') / 'set'
    return out, *make(archive, out, repeats=2)


def read(out) -> dict[str, list[dict]]:
    return {split: json.loads((out / f'metadata/{split}.json').read_text()) for split in photos.SPLITS}


def contents(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob('*')) if path.is_file()}


def test_layout_and_labels(archive, made):
    out, classes, left_out = made
    assert not (out / 'forged_photos.json.part').exists()
    assert set(classes) == set(photos.CLASS_MAP)
    by_split = read(out)
    fmt, _ = format_of(str(BASE))
    for split, records in by_split.items():
        assert find_problems(records, fmt, out) == {}
        for record in records:
            assert list(record) == FIELDS and record['image'].startswith(f'images/{split}/0000/')
            told, true, places = record['text'].split(), record['true_text'].split(), record['fake_text_pos']
            if 'text_swap' in record['fake_cls']:
                assert record['text'] != record['true_text'] and places
            elif 'text_attribute' in record['fake_cls']:
                assert [place for place, pair in enumerate(zip(told, true)) if pair[0] != pair[1]] == places
            else:
                assert told == true
            with Image.open(out / record['image']) as image:
                assert (image.size, image.format, image.mode) == ((160, 120), 'JPEG', 'RGB') and not image.getexif()
    photos_of = {split: {record['photo'] for record in records} for split, records in by_split.items()}
    assert sum(map(len, photos_of.values())) == len(set().union(*photos_of.values()))
    assert {record['photo'] for rs in by_split.values() for record in rs if record['fake_image_box']} <= {
        f'{number:03d}.png' for number in range(0, 60, 2)
    }
    problems = {line.split(':')[0]: line for line in left_out}
    assert {'copy.png', 'broken.jpg', 'none.jpg', 'empty.png'} <= set(problems)
    assert problems['copy.png'].endswith('the same file as 000.png')
    assert (out / 'left_out.txt').read_text().splitlines() == left_out
    assert "not a generator's fakes" in (out / 'README.txt').read_text()
    assert Image.open(out / 'contact_sheet.jpg').width > 900


def test_a_photo_comes_as_often_real_as_forged_and_says_the_same(made):
    """So that neither the photo nor its caption tells which of them a record is."""
    for records in read(made[0]).values():
        real = [record for record in records if record['fake_cls'] == 'orig']
        forged = [record for record in records if record['fake_cls'] != 'orig']
        for field in ('photo', 'true_text'):
            assert Counter(r[field] for r in real) == Counter(r[field] for r in forged)
        swapped = [record for record in forged if 'text_swap' in record['fake_cls']]
        assert Counter(r['text'] for r in swapped) == Counter(r['true_text'] for r in swapped)
        words = [Counter(' '.join(r['text'] for r in rs).split()) for rs in (real, forged)]
        words = [{**count, 'a': count['A'] + count['a'] + count['An'] + count['an']} for count in words]
        for count in words:
            for article in ('A', 'An', 'an'):
                count.pop(article, None)
        assert words[0] == words[1]


def test_only_the_mask_s_box_differs(archive, made):
    out = made[0]
    blended = [record for record in read(out)['train'] if record['fake_image_box']]
    assert len(blended) > 5
    for record in blended:
        x1, y1, x2, y2 = record['fake_image_box']
        assert abs(x1 - FACE[0]) < 16 and abs(y2 - FACE[3]) < 20 and x2 - x1 > 20 and y2 - y1 > 25
        before = cv2.imread(str(archive / record['photo'])).astype(int)
        moved = np.abs(cv2.imread(str(out / record['image'])) - before).mean(2)
        inside = moved[y1:y2, x1:x2].mean()
        moved[y1:y2, x1:x2] = 0
        assert inside > 1.3 * moved.sum() / (moved.size - (x2 - x1) * (y2 - y1))  # JPEG moves the rest a little


def test_pictures_are_written_alike(made):
    """File size and place tell nothing; the bound is four deviations of an AUC by chance."""
    out = made[0]
    records = [record for rs in read(out).values() for record in rs]
    forged = np.array([record['fake_cls'] != 'orig' for record in records])
    for values in ([os.path.getsize(out / r['image']) for r in records], [r['id'] for r in records]):
        ranks = np.argsort(np.argsort(values)) + 1
        n, m = forged.sum(), (~forged).sum()
        auc = (ranks[forged].sum() - n * (n + 1) / 2) / (n * m)
        assert abs(auc - 0.5) < 4 * np.sqrt((n + m + 1) / (12 * n * m))


def test_same_bytes_with_other_workers(archive, made, tmp_path):
    make(archive, tmp_path / 'set', workers=2, repeats=2)
    assert contents(tmp_path / 'set') == contents(made[0])


def test_reuse_refusal_and_seeds(archive, tmp_path):
    out = tmp_path / 'set'
    assert make(archive, out)
    before = contents(out)
    assert make(archive, out) is None
    with pytest.raises(ValueError, match='holds a set made with'):
        make(archive, out, seed=1)
    assert make(archive, out, seed=1, force=True) and contents(out) != before
    (out / 'forged_photos.json').rename(out / 'forged_photos.json.part')
    assert make(archive, out) and contents(out) == before
    (tmp_path / 'own/images').mkdir(parents=True)
    with pytest.raises(ValueError, match='images/ of another origin'):
        make(archive, tmp_path / 'own')


def test_lists_name_the_splits(archive, tmp_path):
    names = {split: tmp_path / split for split in ('val', 'test')}
    names['val'].write_text('\n'.join(f'{n:03d}.png' for n in range(10)))
    names['test'].write_text('\n'.join(f'{n:03d}.png' for n in range(10, 24)))
    lists = {split: str(path) for split, path in names.items()}
    make(archive, tmp_path / 'set', lists=lists, val=0, test=0)
    for split, records in read(tmp_path / 'set').items():
        told = {int(record['photo'][:3]) for record in records}
        assert told <= set(dict(val=range(10), test=range(10, 24), train=range(24, 60))[split]), split
    assert not list((tmp_path / 'set').glob('*.part'))
    make(archive, tmp_path / 'shares', lists=dict(test=lists['test']), val=0, test=0.5)
    told = {record['photo'] for record in json.loads((tmp_path / 'shares/metadata/test.json').read_text())}
    assert told <= set(names['test'].read_text().split()), 'a split with a list takes no part in the lot'
    names['test'].write_text('012.png\n012.JPG\n013\n')
    with pytest.raises(
        ValueError, match=r"test: no photo of the captions has the name '012.JPG' \(2 such\); .*'000.png'"
    ):
        make(archive, tmp_path / 'other', lists=lists)
    names['test'].write_text('003.png\n')
    with pytest.raises(ValueError, match=r"'003\.png' is in the list of val, too"):
        make(archive, tmp_path / 'other', lists=lists)


def test_a_photo_or_a_language_model_that_was_changed_makes_another_set(archive, tmp_path):
    folder = tmp_path / 'archive'
    shutil.copytree(archive, folder)
    make(folder, tmp_path / 'set')
    os.utime(folder / '002.png', ns=(1, 1))
    with pytest.raises(ValueError, match="holds a set made with other arguments: photos was '[0-9a-f]+', not '"):
        make(folder, tmp_path / 'set')


def test_a_folder_without_the_pictures_leaves_the_set_that_was(archive, made):
    before = contents(made[0])
    with pytest.raises(
        ValueError, match=r'pictures none is a file in nowhere; .*nowhere/000.png. Name .*: --image-root'
    ):
        photos.make_photo_set(archive / 'captions.json', made[0], Path('nowhere'), dict(type='albef'), force=True)
    assert contents(made[0]) == before


def test_a_line_of_pixels_on_the_contact_sheet(tmp_path):
    """It is scaled to a height of one pixel, not to none."""
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.zeros((1, 640, 3), np.uint8))
    record = dict(photo='a', image='a.jpg', fake_image_box=[], fake_text_pos=[0], true_text='a', text='b')
    records = [dict(record, fake_cls='orig'), dict(record, fake_cls='text_swap')]
    assert photos.draw_sheet(tmp_path, records, 1).shape[1] > 900


def test_the_base_config_reads_it(made):
    init_default_scope('mmvlforge')
    from mmvlforge.registry import DATASETS

    cfg = Config.fromfile(BASE)
    assert {name: tuple(kinds) for name, kinds in cfg.class_map.items()} == photos.CLASS_MAP
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        settings = dict(cfg[loader].dataset, data_root=str(made[0]))
        settings['pipeline'] = [
            dict(settings['pipeline'][0], name=str(made[0] / 'tokenizer')),
            *settings['pipeline'][1:],
        ]
        dataset = DATASETS.build(settings)
        assert dataset[0]['inputs']['image'].shape == (3, 224, 224)
        assert dataset.metainfo['image_types'] == ('real', 'face_blend')


def test_a_picture_without_a_usable_face_gets_no_face_type(archive, tmp_path, monkeypatch):
    monkeypatch.setitem(face_finders.FINDERS, 'haar', lambda image, least: [(40, 30, 55, 95), (-30, 0, 15, 60)])
    classes, _ = make(archive, tmp_path / 'set', faces='haar')
    assert set(classes) <= {'orig', 'text_swap', 'text_attribute'}


def test_photos_without_a_face_can_be_left_out(archive, tmp_path):
    classes, left_out = make(archive, tmp_path / 'set', only_faces=True)
    assert classes['face_blend'] and {r['photo'] for rs in read(tmp_path / 'set').values() for r in rs} == {
        f'{number:03d}.png' for number in range(0, 60, 2)
    }
    assert {line for line in left_out if 'no usable face' in line} == {
        f'{number:03d}.png: no usable face' for number in range(1, 60, 2)
    }


@pytest.mark.parametrize('side', [16, 24, 60, 200])
def test_a_face_of_any_size_is_blended_inside_its_box(side):
    rng = np.random.default_rng(side)
    image = cv2.resize(rng.uniform(50, 200, (9, 9, 3)).astype(np.float32), (260, 240)).astype(np.uint8)
    for seed in range(40):
        x, y = (int(rng.integers(0, room - side + 1)) for room in (260, 240))
        forged, (x1, y1, x2, y2) = blend_face(image, (x, y, x + side, y + side), np.random.default_rng(seed))
        assert 0 <= x1 < x2 <= 260 and 0 <= y1 < y2 <= 240 and min(x2 - x1, y2 - y1) >= side / 4
        moved = np.abs(forged.astype(int) - image).max(2)
        assert moved[y1:y2, x1:x2].mean() > 0.5
        moved[y1:y2, x1:x2] = 0
        assert not moved.any()


def test_the_mask_is_soft():
    for seed in range(20):
        mask = face_mask((120, 120), (30, 30, 90, 90), np.random.default_rng(seed), Blending())
        assert mask.max() == 1 and mask.min() == 0 and not mask[[0, -1]].any() and not mask[:, [0, -1]].any()
        assert np.abs(np.diff(mask, axis=0)).max() < 0.45  # an edge drawn with a ruler has a step of 1


def test_a_face_must_lie_inside():
    with pytest.raises(ValueError, match='inside a picture of 50x40 pixels'):
        blend_face(np.zeros((40, 50, 3), np.uint8), (30, 10, 51, 30), np.random.default_rng(0))


@pytest.mark.parametrize('turn', range(1, 9))
def test_boxes_of_the_stored_picture_follow_its_exif(tmp_path, turn):
    image = np.zeros((60, 80, 3), np.uint8)
    image[10:30, 20:50] = 255
    exif = Image.Exif()
    exif[274] = turn
    Image.fromarray(image).save(tmp_path / 'a.png', exif=exif)
    seen, scale = photos.load_photo('a', (tmp_path / 'a.png').read_bytes(), 640)
    x1, y1, x2, y2 = turn_box((20, 10, 50, 30), turn, (seen.shape[1], seen.shape[0]))
    assert scale == 1 and seen[y1:y2, x1:x2].min() == 255 and seen.sum() == 255 * 3 * 20 * 30


def test_large_photos_are_made_smaller_and_their_faces_with_them(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.zeros((900, 1600, 3), np.uint8))
    photo = photos.Photo('a.jpg', ['A dog .'], ((400, 200, 800, 600),))
    seen = photos.see(photo, str(tmp_path), photos.Settings(faces='file', max_side=400))
    assert seen.faces == [(100, 50, 200, 150)] and not seen.problem


def test_words():
    assert marks('An old dog, is on the beach .', {'a', 'cat', 'on', 'the', 'sofa'}) == (1, 2, 6)
    told = [['A young boy , sitting .'], ['An old boy , sitting .'], ['An old boy and a young one .'], ['A cat .']]
    turned = turn_in_pairs(told, np.random.default_rng(0), [('young', 'old')])
    assert {(t.photo, t.told, t.places) for t in turned} == {
        (0, 'An old boy , sitting .', (1,)),
        (1, 'A young boy , sitting .', (1,)),
    }
    told = [['A man and his dog .'], ['A woman and her dog .']]
    assert turn_in_pairs(told, np.random.default_rng(0)) == []  # his would give her away
    capital = turn_in_pairs([['Old Joe .'], ['Young Joe .']], np.random.default_rng(0))
    assert {(t.true, t.told) for t in capital} == {('Old Joe .', 'Young Joe .'), ('Young Joe .', 'Old Joe .')}


def test_the_most_similar_photos_swap():
    told = [['a red car'], ['two dogs run'], ['a blue car'], ['dogs run home'], ['a red car'], ['one bird']]
    assert pair_up(told, lambda a, b: told[a] != told[b])[:2] in ([(1, 3), (0, 2)], [(1, 3), (2, 4)])
    pairs = swap_in_pairs(told, [captions[0] for captions in told])
    assert sorted(photo.photo for pair in pairs for photo in pair) == [0, 1, 2, 3, 4, 5]
    for pair in pairs:
        for one, other in (pair, pair[::-1]):
            assert one.told == other.true != one.true and one.places == marks(one.told, words_of(told[one.photo]))
    assert swap_in_pairs([['a dog'], ['the dog']], ['a dog', 'the dog']) == []


def test_antonyms_of_one_s_own(tmp_path):
    (tmp_path / 'a.csv').write_text('Old,young\n\nup,down\n')
    assert read_antonyms(str(tmp_path / 'a.csv')) == [('old', 'young'), ('up', 'down')]
    for line in ('up,left', 'a', 'a,a', 'x,y,z'):
        (tmp_path / 'b.csv').write_text(f'old,young\nup,down\n{line}\n')
        with pytest.raises(ValueError, match=r'b\.csv:3: .* must be two words'):
            read_antonyms(str(tmp_path / 'b.csv'))


@pytest.fixture(scope='module')
def language_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp('lm')
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '.', 'a', 'is', 'near', 'the', 'in', 'cat', 'bird', 'tree']
    (folder / 'vocab.txt').write_text('\n'.join([*words, *COLOURS, *WHO, *DOES, *PLACES]))
    BertTokenizerFast(str(folder / 'vocab.txt')).save_pretrained(folder)
    torch.manual_seed(0)
    size = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertForMaskedLM(BertConfig(vocab_size=len(words) + 22, **size)).save_pretrained(folder)
    return str(folder)


def test_a_language_model_writes_words(archive, tmp_path, language_model):
    make(archive, tmp_path / 'set', language_model=language_model)
    captions = {row['image']: row['caption'] for row in json.loads((archive / 'captions.json').read_text())}
    edited = [r for rs in read(tmp_path / 'set').values() for r in rs if 'text_attribute' in r['fake_cls']]
    assert len(edited) > 10
    for record in edited:
        told, true = record['text'].split(), record['true_text'].split()
        places = [place for place, pair in enumerate(zip(told, true)) if pair[0].lower() != pair[1].lower()]
        assert len(told) == len(true) and places == record['fake_text_pos']
        known = words_of(captions[record['photo']])
        assert not known & {told[place].lower() for place in places}


def test_a_language_model_that_is_none(archive, tmp_path):
    with pytest.raises(ValueError, match='cannot be loaded'):
        make(archive, tmp_path / 'set', language_model=str(tmp_path / 'none'))


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--val', '0.5', '--test', '0.5'], 'the shares of val and test must leave some to train on, got 0.5 and 0.5'),
        (['--min-face', '3'], 'min_face, max_side and repeats must be at least 16, 64 and 1, got 3, 640 and 1'),
        (['--seed', '-1'], 'The seed must not be negative: -1'),
        (['--reader', 'coco'], 'must be a JSON object'),
        (['--reader-options', 'faces'], "'faces' must be key=value"),
        (
            ['--reader-options', 'imags=a.txt'],
            "reader 'albef': got an unexpected keyword argument 'imags'; its settings are: faces",
        ),
        (['--test-list', 'none.txt'], 'none.txt: no such file'),
        (['--test', '0.0001', '--val', '0'], 'test has 0 of 60 usable photos, none of which can be forged'),
    ],
)
def test_mistakes_exit_with_2_and_say_what_is_wrong(archive, tmp_path, capsys, args, message):
    base = ['forge', 'photos', str(archive / 'captions.json'), str(tmp_path / 'set'), '--workers', '1']
    assert main([*base, *args]) == 2
    error = ' '.join(capsys.readouterr().err.split())
    assert message in error and 'Traceback' not in error


def test_as_a_command(archive, tmp_path, capsys):
    args = ['forge', 'photos', str(archive / 'captions.json'), str(tmp_path / 'set'), '--workers', '1']
    args += ['--reader-options', 'faces=faces', '--faces', 'file', '--val', '0.2', '--test', '0.2']
    assert main(args) == 0
    said = capsys.readouterr().out
    assert f'to {tmp_path / "set"} in ' in said and 'face_blend&text_swap' in said
    assert f' left out, named in {tmp_path / "set" / "left_out.txt"}' in said and photos.NOTE in said
    assert main(args) == 0
    assert capsys.readouterr().out == f'{tmp_path / "set"} already holds this set.\n'
    check = ['data', 'check', str(tmp_path / 'set/metadata/train.json'), '--config', str(BASE), '--workers', '1']
    assert main([*check, '--image-root', str(tmp_path / 'set')]) == 0
    assert ' records, 0 bad' in capsys.readouterr().out


@pytest.mark.skipif(not REAL.is_dir(), reason=f'no {REAL}; MMVLFORGE_REAL_DATA may name the folder')
@pytest.mark.parametrize('finder', ['haar', 'mtcnn'])
def test_faces_of_real_portraits(finder):
    if finder == 'mtcnn':
        pytest.importorskip('facenet_pytorch', reason='facenet-pytorch is not installed')
    files = sorted((REAL / 'portraits/images').iterdir())[:24]
    sizes = []
    for file in files:
        image = cv2.imread(str(file))
        for x1, y1, x2, y2 in find_faces(image, finder, 24):
            assert 0 <= x1 < x2 <= image.shape[1] and 0 <= y1 < y2 <= image.shape[0]
            sizes.append((x2 - x1) / (y2 - y1))
    assert len(files) - 3 <= len(sizes) <= len(files) + 2
    assert 0.6 < np.median(sizes) < 0.9  # faces are higher than wide


def test_mtcnn_that_is_not_there(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'facenet_pytorch', None)
    face_finders._network.cache_clear()
    with pytest.raises(ValueError, match='pip install --no-deps facenet-pytorch'):
        find_faces(np.zeros((60, 60, 3), np.uint8), 'mtcnn', 20)
    with pytest.raises(ValueError, match="'eyes' is unknown; choose one of"):
        find_faces(np.zeros((60, 60, 3), np.uint8), 'eyes', 20)


def test_records_agree_with_the_class_map_alone():
    """A forged picture without a box, or the reverse, would be found: the rules are those of training."""
    fmt, _ = format_of(str(BASE))
    record = dict(zip(FIELDS, (0, 'a.jpg', 'a dog', 'face_blend', [], [], [], 'a', 'a dog')))
    assert [problem.kind for problem in record_problems(record, fmt)] == ['class and box disagree']
