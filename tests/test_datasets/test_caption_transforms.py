"""Loading groups, crops and frames; mirrors that mind captions; tokens; packing."""

import json
import random

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image, ImageEnhance, ImageOps
from project import ROOT
from tokenizers import Tokenizer, models, normalizers, processors
from transformers import AutoTokenizer, CLIPTokenizerFast, PreTrainedTokenizerFast

from mmvlforge.datasets.transforms.loading import UnusableImageError
from mmvlforge.registry import TRANSFORMS


def run(type, results, **settings):
    return TRANSFORMS.build(dict(type=type, **settings))(results)


def test_a_group_of_pictures(save_pictures, tmp_path):
    save_pictures('a.png', 'b.png')
    paths = [str(tmp_path / name) for name in ('a.png', 'b.png')]
    images = run('LoadImageGroup', dict(img_paths=paths, box=None))['imgs']
    assert [image[0, 0].tolist() for image in images] == [[0, 100, 200], [10, 100, 200]]
    assert images[0].shape == (8, 12, 3)


def test_alpha_is_dropped(save_pictures, tmp_path):
    save_pictures('a.png', mode='RGBA')
    (image,) = run('LoadImageGroup', dict(img_paths=[str(tmp_path / 'a.png')], box=None))['imgs']
    assert image.shape == (8, 12, 3) and image[0, 0].tolist() == [0, 100, 200]


def test_bytes_at_hand_are_not_read_again(save_pictures, tmp_path):
    save_pictures('a.png')
    results = dict(img_paths=['nowhere'], img_bytes=[(tmp_path / 'a.png').read_bytes()], box=None)
    results = run('LoadImageGroup', results)
    assert results['imgs'][0].shape == (8, 12, 3) and 'img_bytes' not in results


@pytest.mark.parametrize(
    ('box', 'rows', 'columns'),
    [
        ((2, 1, 4, 3), slice(1, 4), slice(2, 6)),
        ((1.5, 0, 1.9, 2), slice(0, 2), slice(1, 4)),
        ((2.2, 2.2, 0.5, 0.5), slice(2, 3), slice(2, 3)),
        ((-3, -1, 5, 4), slice(0, 3), slice(0, 2)),  # beyond the border
        ((20, 10, 900, 900), slice(10, 30), slice(20, 40)),
    ],
)
def test_crop(tmp_path, box, rows, columns):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    results = dict(img_paths=[str(tmp_path / 'a.png')], box=box)
    (image,) = run('LoadImageGroup', results, target_size=(2, 2))['imgs']
    assert (image == pixels[rows, columns, ::-1]).all()


def test_crop_comes_from_the_whole_picture(tmp_path):
    """A large JPEG is not decoded smaller where only a part of it is wanted."""
    Image.new('RGB', (400, 400)).save(tmp_path / 'a.jpg')
    paths = [str(tmp_path / 'a.jpg')]
    assert run('LoadImageGroup', dict(img_paths=paths, box=None), target_size=(50, 50))['imgs'][0].shape[0] == 50
    part = run('LoadImageGroup', dict(img_paths=paths, box=(0, 0, 60, 60)), target_size=(50, 50))['imgs'][0]
    assert part.shape == (60, 60, 3)


@pytest.mark.parametrize('box', [(12, 0, 3, 3), (0, -9, 4, 9), (3, 3, 0, 0)])
def test_box_without_a_pixel(save_pictures, tmp_path, box):
    save_pictures('a.png')
    with pytest.raises(UnusableImageError, match=r'a\.png has 12x8 pixels, none of them in the box'):
        run('LoadImageGroup', dict(img_paths=[str(tmp_path / 'a.png')], box=box))


def write_video(path, num):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (32, 32))
    for number in range(num):
        writer.write(np.full((32, 32, 3), 5 * number, np.uint8))
    writer.release()
    return dict(img_paths=[str(path)])


@pytest.mark.parametrize(
    ('length', 'num', 'expected'),
    [
        (40, 8, [2, 7, 12, 17, 22, 27, 32, 37]),
        (8, 8, range(8)),
        (10, 4, [1, 3, 6, 8]),
        (3, 8, [0, 0, 0, 1, 1, 2, 2, 2]),
    ],
)
def test_frames_are_even(tmp_path, length, num, expected):
    frames = run('LoadFrames', write_video(tmp_path / 'v.avi', length), num_frames=num)['imgs']
    assert len(frames) == num and frames[0].shape == (32, 32, 3)
    assert [round(frame.mean() / 5) for frame in frames] == list(expected)


@pytest.mark.parametrize('told', [400, 0])
def test_a_video_whose_header_is_wrong(tmp_path, monkeypatch, told):
    results = write_video(tmp_path / 'v.avi', 40)

    class Video:
        def __init__(self, path):
            self.video = capture(path)

        def get(self, prop):
            return told

        def __getattr__(self, name):
            return getattr(self.video, name)

    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', Video)
    frames = run('LoadFrames', results)['imgs']
    assert [round(frame.mean() / 5) for frame in frames] == [2, 7, 12, 17, 22, 27, 32, 37]


def test_no_video(tmp_path):
    (tmp_path / 'v.mp4').write_text('text')
    for name in ('v.mp4', 'none.mp4'):
        with pytest.raises(UnusableImageError, match=f'{name} cannot be read'):
            run('LoadFrames', dict(img_paths=[str(tmp_path / name)]))


PICTURE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.mark.parametrize(
    ('sides', 'caption', 'flipped', 'after'),
    [
        ('keep', 'a dog runs', True, 'a dog runs'),
        ('keep', 'a dog left of a cat', False, 'a dog left of a cat'),
        ('swap', 'a dog left of a cat', True, 'a dog right of a cat'),
        ('ignore', 'a dog left of a cat', True, 'a dog left of a cat'),
    ],
)
def test_mirror(sides, caption, flipped, after):
    before = dict(imgs=[PICTURE, PICTURE + 1], captions=[caption])
    results = run('FlipWithCaptions', before, prob=1.0, sides=sides)
    for number, image in enumerate(results['imgs']):
        assert (image == (PICTURE[:, ::-1] if flipped else PICTURE) + number).all()
    assert results['captions'] == [after]


def test_mirror_comes_by_chance():
    random.seed(0)
    flip = TRANSFORMS.build(dict(type='FlipWithCaptions', prob=0.25))
    flips = sum((flip(dict(imgs=[PICTURE], captions=['a']))['imgs'][0] != PICTURE).any() for _ in range(1000))
    assert 200 < flips < 300
    with pytest.raises(ValueError, match="sides must be one of .* got 'turn'"):
        run('FlipWithCaptions', {}, sides='turn')


def test_each_picture_has_its_own_crop():
    pictures = [np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)] * 2
    np.random.seed(0)
    random.seed(0)
    crop = dict(type='mmpretrain.RandomResizedCrop', scale=(24, 32), crop_ratio_range=(0.2, 0.5))
    first, second = run('ForEachImage', dict(imgs=pictures), transforms=[crop])['imgs']
    assert first.shape == second.shape == (24, 32, 3) and (first != second).any()


def test_tokens_are_those_of_the_tokenizer(bert_folder):
    captions = ['a dog left of cats', 'A dogs\u2019s, runs', '']
    results = run('CaptionTokenizer', dict(captions=captions), name=bert_folder)
    assert results['input_ids'] == AutoTokenizer.from_pretrained(bert_folder)(captions)['input_ids']
    assert results['input_ids'][0] == [2, 5, 6, 9, 11, 7, 8, 3]
    assert results['word_ids'][0] == [None, 0, 1, 2, 3, 4, 4, None]
    cut = run('CaptionTokenizer', dict(captions=captions), name=bert_folder, max_length=4)
    assert cut['input_ids'][0] == [2, 5, 6, 3]


@pytest.fixture
def gemma_like(tmp_path):
    """A tokenizer like Gemma's, which SigLIP 2 has: a space is part of the word after it, the first word has none."""
    words = ['dog', 's', ',', 'a']
    vocabulary = ['<pad>', '<eos>', '<bos>', '<unk>', '▁', *words, *(f'▁{word}' for word in words)]
    letters = [letter for letter in 'dog' if letter not in vocabulary] + ['do', '▁do', '▁d']
    vocabulary += letters
    merges = [('▁', 'd'), ('▁d', 'o'), ('▁do', 'g'), ('d', 'o'), ('do', 'g'), ('▁', 's'), ('▁', 'a'), ('▁', ',')]
    base = Tokenizer(models.BPE({token: n for n, token in enumerate(vocabulary)}, merges, unk_token='<unk>'))
    base.normalizer = normalizers.Replace(' ', '▁')
    base.post_processor = processors.TemplateProcessing('$A <eos>', special_tokens=[('<eos>', 1)])
    special = dict(pad_token='<pad>', eos_token='<eos>', bos_token='<bos>', unk_token='<unk>')
    PreTrainedTokenizerFast(tokenizer_object=base, **special).save_pretrained(tmp_path)
    return str(tmp_path)


def test_a_caption_as_one_text(gemma_like):
    captions = ['dog dogs, a', '']
    results = run('CaptionTokenizer', dict(captions=captions), name=gemma_like, by_word=False)
    plain = AutoTokenizer.from_pretrained(gemma_like)
    assert results['input_ids'] == plain(captions)['input_ids']
    tokens = plain.convert_ids_to_tokens(results['input_ids'][0])
    assert tokens == ['dog', '▁dog', 's', ',', '▁a', '<eos>']
    assert results['word_ids'] == [[0, 1, 1, 1, 2, None], [None]]
    cut = run('CaptionTokenizer', dict(captions=captions), name=gemma_like, by_word=False, max_length=3)
    assert cut['word_ids'][0] == [0, 1, None]


def test_clips_own_tokens(tmp_path):
    """CLIP's vocabulary of 49,408 tokens, as open_clip brings it, in transformers' tokenizer."""
    open_clip = pytest.importorskip('open_clip', reason='comes with the extra open-clip')
    theirs = open_clip.SimpleTokenizer()
    (tmp_path / 'vocab.json').write_text(json.dumps(theirs.encoder))
    merges = sorted(theirs.bpe_ranks, key=theirs.bpe_ranks.get)
    (tmp_path / 'merges.txt').write_text('\n'.join(['#version: 0.2', *map(' '.join, merges)]))
    names = {file: str(tmp_path / file) for file in ('vocab.json', 'merges.txt')}
    # Its file calls the special tokens otherwise.
    CLIPTokenizerFast(
        *names.values(), unk_token='<end_of_text>', bos_token='<start_of_text>', eos_token='<end_of_text>'
    ).save_pretrained(tmp_path)
    captions = ["a dog's skateboarders, two of them", 'Zwei Känguruhs 123']
    results = run('CaptionTokenizer', dict(captions=captions), name=str(tmp_path), max_length=77, by_word=False)
    for caption, ids, words in zip(captions, results['input_ids'], results['word_ids']):
        assert ids == [49406, *theirs.encode(caption), 49407]
        assert words[0] is words[-1] is None and max(words[1:-1]) == len(caption.split()) - 1
        assert words[1:-1] == sorted(words[1:-1])
    assert results['word_ids'][0][1:4] == [0, 1, 1]  # dog, 's


def test_pack():
    item = run(
        'PackCaptionInputs',
        dict(
            index=3,
            imgs=[PICTURE, PICTURE],
            img_paths=['a', 'b'],
            captions=['x', 'y', 'z'],
            input_ids=[[2, 5, 3]] * 3,
            word_ids=[[None, 0, None]] * 3,
            image_id=2**62,
            tag='Object',
            row=9,
        ),
    )
    image = item['inputs']['image']
    assert image.shape == (2, 3, 2, 4) and image.is_contiguous() and image[1, :, 1, 3].tolist() == [21, 22, 23]
    assert [ids.tolist() for ids in item['inputs']['input_ids']] == [[2, 5, 3]] * 3
    assert item['inputs']['word_mask'][0].tolist() == [False, True, False]
    assert item['targets']['image_ids'].item() == 2**62
    assert item['data_samples'].to_dict() == dict(
        index=3, img_paths=['a', 'b'], captions=['x', 'y', 'z'], image_id=2**62, tag='Object', num_images=2,
        num_captions=3,
    )  # fmt: skip


def test_transforms_of_the_recipe():
    """Crops of .2 to 1 at 256 pixels in pre-training, .5 to 1 at 384 in fine-tuning, RandAugment(2, 7) in both."""
    for name, size, least in (('caption_cc4m', 256, 0.2), ('coco_retrieval', 384, 0.5)):
        cfg = Config.fromfile(ROOT / f'configs/_base_/datasets/{name}.py')
        pipeline = [TRANSFORMS.build(t) for t in cfg.train_dataloader.dataset.pipeline]
        (each,) = [t for t in pipeline if type(t).__name__ == 'ForEachImage']
        crop, augment = each.transforms.transforms
        assert crop.scale == (size, size) and crop.crop_ratio_range == (least, 1.0)
        assert (augment.num_policies, augment.magnitude_level) == (2, 7)
        random.seed(0)
        np.random.seed(0)
        picture = np.random.default_rng(0).integers(0, 256, (500, 600, 3), dtype=np.uint8)
        for _ in range(12):
            assert each(dict(imgs=[picture]))['imgs'][0].shape == (size, size, 3)


def warp(image, *matrix):
    """By Pillow: where a pixel of the result comes from; grey moves in."""
    # Pillow's matrix is of corners, OpenCV's of the pixels' middles.
    a, b, c, d, e, f = matrix
    shift = (c + (1 - a - b) / 2, f + (1 - d - e) / 2)
    matrix = (a, b, shift[0], d, e, shift[1])
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(128,) * 3)


# What ALBEF publishes, of Pillow's own, for a strength of 7 of 10; both signs where there are two.
ORACLE = {
    'Compose': lambda image: [image],
    'AutoContrast': lambda image: [ImageOps.autocontrast(image)],
    'Equalize': lambda image: [ImageOps.equalize(image)],
    'Brightness': lambda image: [ImageEnhance.Brightness(image).enhance(0.7 * 1.8 + 0.1)],
    'Sharpness': lambda image: [ImageEnhance.Sharpness(image).enhance(0.7 * 1.8 + 0.1)],
    'Shear horizontal': lambda image: [warp(image, 1, s * 0.21, 0, 0, 1, 0) for s in (-1, 1)],
    'Shear vertical': lambda image: [warp(image, 1, 0, 0, s * 0.21, 1, 0) for s in (-1, 1)],
    'Translate horizontal': lambda image: [warp(image, 1, 0, s * 7, 0, 1, 0) for s in (-1, 1)],
    'Translate vertical': lambda image: [warp(image, 1, 0, 0, 0, 1, s * 7) for s in (-1, 1)],
    'Rotate': lambda image: [image.rotate(s * 21, Image.Resampling.BILINEAR, fillcolor=(128,) * 3) for s in (-1, 1)],
}


@pytest.mark.parametrize(
    'name, size, operations',
    [('dgm4', 256, list(ORACLE)[:5]), ('caption_cc4m', 256, list(ORACLE)), ('coco_retrieval', 384, list(ORACLE))],
)
def test_each_operation_does_what_is_published(name, size, operations):
    """Every chosen one is applied, with the published strength; a translate moves 7 pixels whatever the size."""
    augment = TRANSFORMS.build(Config.fromfile(ROOT / f'configs/_base_/datasets/{name}.py').augment)
    assert [f'{type(op).__name__} {getattr(op, "direction", "")}'.strip() for op in augment] == operations
    coarse = np.random.default_rng(1).integers(30, 200, (6, 7, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    np.random.seed(0)
    for operation, key in zip(augment, operations):
        wanted = [np.asarray(image).astype(int) for image in ORACLE[key](Image.fromarray(picture))]
        seen = set()
        for _ in range(20):
            new = operation(dict(img=picture.copy()))['img'].astype(int)
            # Pillow leaves the outermost pixel as it is when it sharpens, and mixes grey in otherwise where it warps.
            errors = [np.abs(new - one) for one in wanted]
            means = [error.mean() for error in errors]
            assert min(means) < 0.5, (key, means)
            seen.add(int(np.argmin(means)))
            if not key.startswith(('Shear', 'Rotate', 'Translate')):
                assert errors[0][1:-1, 1:-1].max() <= 1, key
        assert len(seen) == len(wanted), key  # both signs
    if 'dgm4' not in name:
        translate = augment.transforms[operations.index('Translate horizontal')]
        new = translate(dict(img=picture.copy()))['img']
        if (new[:, 0] == 128).all():
            assert (new[:, :7] == 128).all() and np.array_equal(new[:, 7:], picture[:, :-7])
        else:
            assert (new[:, -7:] == 128).all() and np.array_equal(new[:, :-7], picture[:, 7:])


@pytest.mark.parametrize('name, most', [('dgm4', 0.07), ('caption_cc4m', 0.03), ('coco_retrieval', 0.03)])
def test_hardly_a_picture_stays_as_it_is(name, most):
    """The identity twice: 4 % of five operations, 1 % of ten. Half of the operations left out made it 25 %."""
    augment = TRANSFORMS.build(Config.fromfile(ROOT / f'configs/_base_/datasets/{name}.py').augment)
    coarse = np.random.default_rng(1).integers(30, 200, (6, 7, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (48, 48), interpolation=cv2.INTER_CUBIC)
    np.random.seed(0)
    same = sum(np.array_equal(augment(dict(img=picture.copy()))['img'], picture) for _ in range(500))
    assert 0 < same / 500 < most
