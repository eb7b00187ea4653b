"""Decoding, flipping, resizing, colour augmentation and packing."""

import io
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
import torch
from mmengine.config import Config
from PIL import Image, ImageCms

from mmvlforge.datasets.transforms.loading import MAX_PIXELS, LoadImage, UnusableImageError, decode_image
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


RAMP = np.linspace(0, 1, 40 * 60).reshape(40, 60)


def tiff(bits, photometric, strip) -> bytes:
    """A 60x40 grey TIFF of any number of bits; 0 is white if ``photometric`` is 0."""
    tags = [(256, 60), (257, 40), (258, bits), (259, 1), (262, photometric), (273, 122), (277, 1), (278, 40)]
    tags.append((279, len(strip)))
    fields = b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags)
    return b'II*\0' + struct.pack('<IH', 8, len(tags)) + fields + bytes(4) + strip


def twelve_bits(values) -> bytes:
    pairs = values.astype(int).reshape(-1, 2).tolist()
    return b''.join((first << 12 | second).to_bytes(3, 'big') for first, second in pairs)


def saved(image, kind, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ('name', 'data'),
    [
        ('I;16 png', lambda: saved(Image.fromarray(np.rint(RAMP * 65535).astype(np.uint16)), 'PNG')),
        ('I;16 tiff', lambda: saved(Image.fromarray(np.rint(RAMP * 65535).astype(np.uint16)), 'TIFF')),
        (
            'I;16B',
            lambda: saved(Image.frombytes('I;16B', (60, 40), np.rint(RAMP * 65535).astype('>u2').tobytes()), 'TIFF'),
        ),
        ('16-bit pgm', lambda: saved(Image.fromarray(np.rint(RAMP * 65535).astype(np.int32)), 'PPM')),
        ('I of 8 bits', lambda: saved(Image.fromarray(np.rint(RAMP * 255).astype(np.int32)), 'TIFF')),
        ('I of 16 bits', lambda: saved(Image.fromarray(np.rint(RAMP * 65535).astype(np.int32)), 'TIFF')),
        ('F to 1', lambda: saved(Image.fromarray(RAMP.astype(np.float32)), 'TIFF')),
        ('F to 255', lambda: saved(Image.fromarray((RAMP * 255).astype(np.float32)), 'TIFF')),
        ('12-bit', lambda: tiff(12, 1, twelve_bits(np.rint(RAMP * 4095)))),
        ('16-bit, 0 is white', lambda: tiff(16, 0, np.rint((1 - RAMP) * 65535).astype('<u2').tobytes())),
    ],
)
def test_grey_of_more_bits_keeps_its_shades(name, data):
    img, size = decode_image(data(), name)
    assert size == (60, 40) and (img == img[..., :1]).all()
    assert np.abs(img[..., 0] - RAMP * 255).max() <= 0.53


def test_a_dark_picture_of_16_bits_stays_dark():
    """The depth says what is white, not the brightest pixel."""
    img, _ = decode_image(saved(Image.fromarray(np.full((4, 5), 255, np.uint16)), 'PNG'), 'dark.png')
    assert (img == 1).all()


@pytest.mark.parametrize(
    'values',
    [
        np.where(RAMP > 0.9, np.nan, RAMP).astype(np.float32),
        np.where(RAMP > 0.9, np.inf, RAMP).astype(np.float32),
        (RAMP - 0.5).astype(np.float32),
        (RAMP * 1.3).astype(np.float32),  # bright by one reading, black by the other
        (RAMP * 4000).astype(np.float32),
        (RAMP * 2e9).astype(np.int32),
        (RAMP * 100 - 50).astype(np.int32),
    ],
)
def test_values_of_no_known_range_are_refused(values):
    with pytest.raises(UnusableImageError, match='a.tif cannot be read: its .* values lie in .* must fill 0 to'):
        decode_image(saved(Image.fromarray(values), 'TIFF'), 'a.tif')


COLOURS = Image.fromarray(smooth(60, 40))
# Pillow 12 cannot read such a TIFF, its own neither, and says that it is cut off.
NEEDS_PILLOW_13 = pytest.mark.skipif(int(PIL.__version__.split('.')[0]) < 13, reason='Pillow 12 cannot read it')
LAB = ImageCms.profileToProfile(
    COLOURS, ImageCms.createProfile('sRGB'), ImageCms.createProfile('LAB'), outputMode='LAB'
)


@pytest.mark.parametrize(
    ('image', 'kind', 'options', 'most'),
    [
        (COLOURS.convert('LA'), 'PNG', {}, 0),
        (COLOURS.convert('LA'), 'TIFF', {}, 0),
        (COLOURS.convert('P').convert('PA'), 'TIFF', {}, 0),
        (COLOURS.convert('CMYK'), 'TIFF', {}, 0),
        (COLOURS.convert('CMYK'), 'JPEG', dict(quality=95), 20),
        pytest.param(COLOURS.convert('YCbCr'), 'TIFF', {}, 3, marks=NEEDS_PILLOW_13),
        (COLOURS.convert('1'), 'PNG', {}, 0),
        (COLOURS.convert('1'), 'TIFF', {}, 0),
        (COLOURS.convert('P'), 'PNG', dict(transparency=3), 0),
        (COLOURS.convert('P'), 'PNG', dict(transparency=bytes(range(200))), 0),
        (LAB, 'TIFF', {}, 20),
    ],
)
def test_each_mode_keeps_its_colours(image, kind, options, most):
    """Compared with the picture before it was saved, in its own mode where that alone loses something."""
    expected = np.asarray(COLOURS if image is LAB else image.convert('RGB')).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        img, _ = decode_image(saved(image, kind, **options), image.mode)
    assert np.abs(img[..., ::-1] - expected).max() <= most


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [3, 4])
def test_colours_of_16_bits(suffix, channels):
    deep = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1], RAMP][:channels], axis=2)
    data = cv2.imencode(suffix, np.rint(deep * 65535).astype(np.uint16))[1].tobytes()
    assert np.abs(decode_image(data, 'deep')[0] - deep[..., :3] * 255).max() <= 1


def png_header(width, height) -> bytes:
    """The beginning of a PNG that claims a size."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b'')


@pytest.mark.parametrize(('width', 'height'), [(13000, 13000), (100_001, 1000), (30000, 30000), (2**31 - 1, 2**31 - 1)])
def test_a_huge_picture_is_refused_by_its_header(tmp_path, width, height):
    path = tmp_path / 'a.png'
    path.write_bytes(png_header(width, height))
    tracemalloc.start()
    with (
        warnings.catch_warnings(),
        pytest.raises(UnusableImageError, match=rf'a.png is not decoded: it has .* pixels, .* max_pixels={MAX_PIXELS}'),
    ):
        warnings.simplefilter('error')
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_the_limit_is_a_setting(save, monkeypatch):
    path = save(Image.fromarray(smooth(60, 40)), 'a.png')
    assert load(path, max_pixels=2400)['img'].shape == (40, 60, 3)
    with pytest.raises(UnusableImageError, match='it has 60x40 pixels, the limit is max_pixels=2399'):
        load(path, max_pixels=2399)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)  # whose own limit must not be in the way
    assert load(path, max_pixels=2400)['img'].shape == (40, 60, 3)


@pytest.mark.parametrize('kind', ['GIF', 'WEBP', 'PNG', 'TIFF'])
def test_of_many_pictures_in_a_file_the_first_is_read(kind):
    first, *others = [Image.new('RGB', (60, 40), (i % 200 + 50, 0, 0)) for i in range(300)]
    img, size = decode_image(saved(first, kind, save_all=True, append_images=others), kind)
    assert size == (60, 40) and abs(int(img[..., 2].mean()) - 50) < 4


FTYP = b'\0\0\0\x18ftyp'


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'', 'it is empty: 0 bytes'),
        (bytes(5000), 'it is empty: 5000 bytes of zeros'),
        (FTYP + b'heic' + bytes(50), 'it is a HEIC picture.*pillow-heif'),
        (FTYP + b'mif1' + bytes(50), 'it is a HEIC picture'),
        (FTYP + b'isom' + bytes(50), 'it is a video; .*ffmpeg'),
        (b'\x1a\x45\xdf\xa3' + bytes(50), 'it is a video'),
        (b'RIFF\x10\0\0\0AVI LIST', 'it is a video'),
        (b'\0\0\x01\xb3\x14\0\xf0\x13' + bytes(99), 'it is a video'),
        (b'%PDF-1.7\n%\xe2\xe3', 'it is a PDF document'),
        (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n', 'it is PostScript, .*not run'),
        (b'<!DOCTYPE html><html><body>404</body></html>', 'it is a web page'),
        (b'<?xml version="1.0"?><svg xmlns="x"/>', 'it is an SVG drawing'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'it is a pointer of Git LFS'),
        ('Zürich, '.encode() * 200, "it is text, beginning with 'Zürich, "),
        (b'PK\x03\x04' + bytes(50), 'it is a ZIP archive'),
        (b'\xff\xd8\xff\xe0' + bytes(50), 'cannot be read'),
        (b'\x07\x01\x02\x03', 'it is no picture of a known format, its first bytes are 07 01 02 03'),
    ],
)
def test_what_is_no_picture_is_told_by_its_bytes(data, message):
    with pytest.raises(
        UnusableImageError, match=f'a.jpg cannot be read: .*{message}' if 'it is' in message else message
    ):
        decode_image(data, 'a.jpg')


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif', '.webp'])
@pytest.mark.parametrize('turn', range(1, 9))
def test_both_frames_of_a_turned_picture(save, suffix, turn):
    """The object is where the box says: in the stored frame by default, in the frame seen if that is chosen."""
    img = np.zeros((40, 60, 3), np.uint8)
    img[5:15, 10:30] = 255
    exif = Image.Exif()
    exif[274] = turn
    path = save(Image.fromarray(img), f'a{suffix}', exif=exif)
    upright = {1: img, 2: img[:, ::-1], 3: img[::-1, ::-1], 4: img[::-1], 5: img.transpose(1, 0, 2)}
    upright.update({6: img[::-1].transpose(1, 0, 2), 7: img[::-1, ::-1].transpose(1, 0, 2)})
    upright[8] = img[:, ::-1].transpose(1, 0, 2)
    for frame, expected in (('stored', img), ('seen', upright[turn])):
        ys, xs = np.nonzero(expected[..., 0])
        results = load(path, [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], orientation=frame)
        assert results['ori_shape'] == results['img_shape'] == expected.shape[:2]
        assert np.abs(results['img'].astype(int) - expected).mean() < 6
        x1, y1, x2, y2 = results['gt_bboxes'][0].astype(int)
        assert results['img'][y1:y2, x1:x2].mean() > 240
    with pytest.raises(ValueError, match='orientation must be one of'):
        load(path, orientation='upright')


def test_a_large_turned_jpeg_covers_its_target(save):
    exif = Image.Exif()
    exif[274] = 6
    path = save(Image.fromarray(smooth(800, 400)), 'a.jpg', exif=exif)
    results = load(path, [0, 400, 400, 800], target_size=(100, 200), orientation='seen')
    assert results['img_shape'] == (200, 100) and results['ori_shape'] == (800, 400)
    assert results['gt_bboxes'].tolist() == [[0, 100, 100, 200]]


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
    for box in ([0, 0, 802, 600], [0, 0, 800, 602]):
        with pytest.raises(UnusableImageError, match='must lie inside the image of 800x600 pixels'):
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


@pytest.mark.parametrize('turn', [1, 6])
def test_training_pipeline_keeps_the_box_on_its_region(build, record, turn):
    """A bright rectangle stays where the box says through flip, resize and colour changes, whatever is drawn.

    Also in a JPEG that EXIF turns by a quarter: DGM⁴'s boxes are in the stored frame.
    """
    pipeline = Config.fromfile(DGM4).train_pipeline[1:]  # after the tokenizer
    dataset = build([record(image='p.jpg', fake_cls='face_swap', fake_image_box=[50, 60, 170, 210])], pipeline)
    img = np.full((300, 400, 3), 40, np.uint8)
    img[60:210, 50:170] = 220
    exif = Image.Exif()
    exif[274] = turn
    Image.fromarray(img).save(dataset.get_data_info(0)['img_path'], quality=95, exif=exif)
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
