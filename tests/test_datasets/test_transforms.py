"""Decoding, flipping, resizing, colour augmentation and packing."""

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmvlforge.datasets.transforms.loading import LoadImage, UnusableImageError, decode_image
from mmvlforge.registry import TRANSFORMS

DGM4 = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'dgm4.py'


def smooth(width, height, seed=0):
    """A picture that JPEG keeps nearly unchanged, RGB."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def load(path, box=(), **settings):
    return LoadImage(**settings).transform(dict(img_path=str(path), box=list(box)))


@pytest.fixture
def save(tmp_path):
    def write(image, name, **options):
        path = tmp_path / name
        image.save(path, **options)
        return path

    return write


def test_jpeg_is_bgr(save):
    rgb = smooth(60, 40)
    results = load(save(Image.fromarray(rgb), 'a.jpg', quality=95))
    assert results['img'].dtype == np.uint8 and results['img'].flags.c_contiguous
    assert np.abs(results['img'][..., ::-1].astype(int) - rgb).mean() < 2
    assert results['ori_shape'] == results['img_shape'] == (40, 60)
    assert results['gt_bboxes'].shape == (0, 4) and results['gt_bboxes'].dtype == np.float32


def test_png_is_exact(save):
    rgb = smooth(60, 40)
    assert (load(save(Image.fromarray(rgb), 'a.png'))['img'] == rgb[..., ::-1]).all()


def test_alpha_is_dropped(save):
    rgb = smooth(60, 40)
    alpha = np.full((40, 60, 1), 7, np.uint8)
    results = load(save(Image.fromarray(np.concatenate([rgb, alpha], 2)), 'a.png'))
    assert (results['img'] == rgb[..., ::-1]).all()


@pytest.mark.parametrize('name', ['grey.jpg', 'grey.png'])
def test_grey_gets_three_equal_channels(save, name):
    grey = smooth(60, 40)[..., 0]
    img = load(save(Image.fromarray(grey), name))['img']
    assert img.shape == (40, 60, 3)
    assert (img[..., 0] == img[..., 1]).all() and (img[..., 0] == img[..., 2]).all()
    assert np.abs(img[..., 0].astype(int) - grey).max() < 6


@pytest.mark.parametrize(('mode', 'name'), [('CMYK', 'a.jpg'), ('P', 'a.png'), ('P', 'a.gif'), ('RGB', 'a.webp')])
def test_other_colour_modes_and_formats(save, mode, name):
    red = Image.new('RGB', (60, 40), (200, 30, 60))
    img = load(save(red.convert(mode), name))['img']
    assert img.shape == (40, 60, 3)
    assert np.abs(img.reshape(-1, 3).mean(0) - [60, 30, 200]).max() < 20


@pytest.mark.parametrize('target_size', [None, (15, 10)])
def test_exif_rotation_is_ignored(save, target_size):
    """Boxes are in pixels of the stored picture."""
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer would turn it by 90 degrees
    results = load(save(Image.fromarray(smooth(60, 40)), 'a.jpg', exif=exif), target_size=target_size)
    assert results['ori_shape'] == (40, 60)
    assert results['img'].shape[1] > results['img'].shape[0]


@pytest.mark.parametrize(
    ('size', 'target', 'decoded'),
    [
        ((400, 300), (256, 256), (400, 300)),
        ((512, 512), (256, 256), (256, 256)),
        ((1920, 1280), (256, 256), (480, 320)),
        ((1920, 511), (256, 256), (1920, 511)),  # one side alone is large
        ((3000, 2500), (256, 256), (375, 313)),  # 1/8, rounded up
        ((9000, 100), (10, 10), (1125, 13)),  # never below 1/8
        ((1001, 999), (128, 64), (251, 250)),  # 1/7 is none of libjpeg's fast sizes
    ],
)
@pytest.mark.parametrize('progressive', [False, True])
def test_large_jpeg_is_decoded_smaller_and_the_box_follows(save, size, target, decoded, progressive):
    path = save(Image.fromarray(smooth(*size)), 'a.jpg', progressive=progressive)
    box = [size[0] // 4, size[1] // 5, size[0], size[1]]
    results = load(path, box, target_size=target)
    assert results['img_shape'] == results['img'].shape[:2] == decoded[::-1]
    assert results['ori_shape'] == size[::-1]
    scale = np.array(decoded * 2) / np.array(size * 2)
    assert np.allclose(results['gt_bboxes'], [np.array(box) * scale])


@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_scaled_decoding_equals_pillows(save, mode):
    path = save(Image.fromarray(smooth(1000, 800)).convert(mode), 'a.jpg')
    with Image.open(path) as image:
        image.draft('RGB', (256, 200))
        expected = np.asarray(image.convert('RGB'))[..., ::-1]
    img = load(path, target_size=(256, 200))['img']
    assert img.shape == expected.shape == (400, 500, 3)
    assert np.abs(img.astype(int) - expected).max() <= 3


def test_missing_file(tmp_path):
    with pytest.raises(UnusableImageError, match='cannot be read: .*No such file.*none.jpg'):
        load(tmp_path / 'none.jpg')


@pytest.mark.parametrize('name', ['a.jpg', 'a.png', 'a.webp', 'a.gif'])
@pytest.mark.parametrize('keep', [0, 0.02, 0.5, 0.95])
def test_truncated_file(save, name, keep):
    path = save(Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)), name)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(UnusableImageError, match='cannot be read'):
        load(path)


@pytest.mark.filterwarnings('ignore')  # Pillow says so itself
def test_whatever_byte_is_damaged_the_error_is_that_of_a_picture():
    file, refused = io.BytesIO(), 0
    Image.new('RGB', (8, 8), 'red').save(file, 'TIFF')
    for place in range(len(file.getvalue())):
        data = bytearray(file.getvalue())
        data[place] = 2
        try:
            decode_image(bytes(data), 'a.tif')
        except UnusableImageError:
            refused += 1
    assert refused > 10


def test_box_outside_the_stored_picture(save):
    path = save(Image.fromarray(smooth(800, 600)), 'a.jpg')
    load(path, [0, 0, 800, 600], target_size=(100, 100))
    for box in ([0, 0, 801, 600], [0, 0, 800, 601]):
        with pytest.raises(UnusableImageError, match='has 800x600 pixels, but the box is'):
            load(path, box, target_size=(100, 100))


def test_flip_moves_the_box():
    flip = TRANSFORMS.build(dict(type='RandomFlip', prob=1.0))
    img = smooth(40, 30)
    results = flip(dict(img=img, gt_bboxes=np.float32([[0, 3, 10, 20]])))
    assert (results['img'] == img[:, ::-1]).all()
    assert results['gt_bboxes'].tolist() == [[30, 3, 40, 20]]
    assert flip(dict(img=img, gt_bboxes=np.zeros((0, 4), np.float32)))['gt_bboxes'].shape == (0, 4)


def test_resize_moves_the_box():
    resize = TRANSFORMS.build(
        dict(type='Resize', scale=(256, 128), keep_ratio=False, interpolation='bicubic', backend='pillow')
    )
    results = resize(dict(img=smooth(64, 64), gt_bboxes=np.float32([[1, 2, 64, 32]])))
    assert results['img'].shape == (128, 256, 3) and results['img_shape'] == (128, 256)
    assert results['gt_bboxes'].tolist() == [[4, 4, 256, 64]]
    assert resize(dict(img=smooth(64, 64), gt_bboxes=np.zeros((0, 4), np.float32)))['gt_bboxes'].shape == (0, 4)


def test_training_pipeline_keeps_the_box_on_its_region(build, record):
    """A bright rectangle stays where the box says through flip, resize and colour changes, whatever is drawn."""
    pipeline = Config.fromfile(DGM4).train_pipeline[1:]  # after the tokenizer
    dataset = build([record(image='p.png', fake_cls='face_swap', fake_image_box=[50, 60, 170, 210])], pipeline)
    img = np.full((300, 400, 3), 40, np.uint8)
    img[60:210, 50:170] = 220
    Image.fromarray(img).save(dataset.get_data_info(0)['img_path'])
    flips = set()
    for epoch in range(40):
        dataset.seed_epoch(0, epoch)
        item = dataset[0]
        image = item['inputs']['image'].float().mean(0)
        assert image.shape == (256, 256)
        cx, cy, w, h = (256 * item['targets']['box']).tolist()
        inside = torch.zeros(256, 256, dtype=torch.bool)
        inside[round(cy - h / 2) : round(cy + h / 2), round(cx - w / 2) : round(cx + w / 2)] = True
        brighter = image > (image.max() + image.min()) / 2
        assert (brighter == inside).float().mean() > 0.99
        flips.add(item['data_samples'].flip)
    assert flips == {True, False}


def test_rand_augment_changes_colours_only(build, record):
    """A pixel's new colour depends on its old one: no operation moves pixels (sharpening looks one pixel around)."""
    cfg = Config.fromfile(DGM4)
    (augment,) = [TRANSFORMS.build(t) for t in cfg.train_pipeline if t['type'] == 'mmpretrain.RandAugment']
    assert (augment.num_policies, augment.magnitude_level) == (2, 7)
    img = np.zeros((64, 64, 3), np.uint8)
    for index, colour in enumerate(([10, 60, 200], [250, 30, 90], [80, 140, 20], [120, 120, 120])):
        y, x = divmod(index, 2)
        img[32 * y : 32 * y + 32, 32 * x : 32 * x + 32] = colour
    box = np.float32([[3, 4, 30, 40]])
    np.random.seed(0)
    changed = 0
    for _ in range(200):
        results = augment(dict(img=img.copy(), gt_bboxes=box.copy(), img_shape=(64, 64)))
        assert results['gt_bboxes'].tolist() == box.tolist()
        new = results['img']
        assert new.shape == img.shape and new.dtype == np.uint8
        for y in (0, 32):
            for x in (0, 32):
                field = new[y + 2 : y + 30, x + 2 : x + 30].reshape(-1, 3)
                assert (field == field[0]).all()
        changed += not np.array_equal(new, img)
    assert 180 < changed < 200  # the identity twice leaves 4 % as they are, 8 of 200


def test_each_colour_operation_is_a_library_transform_without_geometry():
    names = [policy['type'] for policy in Config.fromfile(DGM4).augment.policies]
    assert names[0] == 'Compose'  # of nothing: the identity
    assert {n.removeprefix('mmpretrain.') for n in names[1:]} == {'AutoContrast', 'Equalize', 'Brightness', 'Sharpness'}


def test_no_warning_on_the_way_to_a_tensor(save, build, record):
    pipeline = [dict(type='LoadImage'), dict(type='PackManipulationInputs')]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        item = build([record(image='p.png')], pipeline)[0]
    image = item['inputs']['image']
    assert image.shape == (3, 30, 40) and image.dtype == torch.uint8 and image.is_contiguous()
    image += 1  # its own memory, writable
