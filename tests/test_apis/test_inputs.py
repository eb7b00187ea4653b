"""Every form in which people give pictures and captions."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from mmvlforge.apis.inputs import Picture, Query, batched, read_queries
from mmvlforge.datasets.transforms.loading import UnusableImageError


def read(inputs) -> list:
    return list(read_queries(inputs))


def test_single_items():
    array, picture = np.zeros((4, 5, 3), np.uint8), Image.new('RGB', (5, 4))
    assert read('a.jpg') == [Query('a.jpg')]
    assert read(('a.jpg', 'a dog')) == [Query('a.jpg', 'a dog')]
    assert read(dict(caption='a dog', id=7)) == [Query(None, 'a dog', 7)]
    assert read(array)[0].image is array and read(picture)[0].image is picture
    assert read(array)[0].image_name is None and read('a.jpg')[0].image_name == 'a.jpg'


def test_lists_and_generators_of_anything_are_read_as_they_come():
    asked = []

    def pictures():
        for name in ('a.jpg', 'b.jpg', 'c.jpg'):
            asked.append(name)
            yield name

    queries = read_queries([('x.jpg', 'x'), pictures()])
    assert next(queries) == Query('x.jpg', 'x') and not asked
    assert next(queries) == Query('a.jpg') and asked == ['a.jpg']


def test_a_folder_gives_its_pictures_in_order(tmp_path):
    (tmp_path / 'deep').mkdir()
    (tmp_path / 'empty').mkdir()
    for name in ('b.PNG', 'deep/c.jpeg', 'a.jpg', 'notes.txt', 'z.heic'):
        (tmp_path / name).write_bytes(b'')
    assert [query.image_name for query in read(tmp_path)] == [
        str(tmp_path / name) for name in ('a.jpg', 'b.PNG', 'deep/c.jpeg', 'z.heic')
    ]
    with pytest.raises(ValueError, match='no picture in this folder'):
        read(tmp_path / 'empty')


def test_a_folder_from_a_mac_has_no_more_pictures_than_it_shows(tmp_path):
    (tmp_path / '._a.jpg').write_bytes(b'of the file system')
    (tmp_path / 'b.jpg').mkdir()
    (tmp_path / 'a.jpg').write_bytes(b'')
    assert [query.image for query in read_queries(tmp_path)] == [str(tmp_path / 'a.jpg')]


def test_csv_with_a_mark_of_order_and_quoted_captions(tmp_path):
    file = tmp_path / 'pairs.csv'
    file.write_text('\ufeffimage,caption,id\na.jpg,"one, two",7\n,alone,8\nb.jpg,,9\n', encoding='utf-8')
    assert read(file) == [
        Query(str(tmp_path / 'a.jpg'), 'one, two', '7'),
        Query(None, 'alone', '8'),
        Query(str(tmp_path / 'b.jpg'), None, '9'),
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('picture,text\na,b\n', r"pairs.csv: needs a column 'image' or 'caption'"),
        ('image,caption\na.jpg,one, two\n', r'pairs.csv:2: more fields than the 2 columns'),
        ('image,caption,image\na.jpg,x,b.jpg\n', r'pairs.csv: a column stands twice in the first line'),
        ('image,caption\na.jpg,x\n,\n', r'pairs.csv:3: needs an image or a caption'),
        ('image,caption\na.jpg,"never closed\n', r'pairs.csv:\d: broken CSV'),
    ],
)
def test_csv_faults(tmp_path, text, message):
    (tmp_path / 'pairs.csv').write_text(text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / 'pairs.csv')


def test_jsonl(tmp_path):
    file = tmp_path / 'pairs.jsonl'
    file.write_text('{"image": "a.jpg", "caption": "x", "id": 3}\n\n{"caption": "y"}\n')
    assert read(str(file)) == [Query(str(tmp_path / 'a.jpg'), 'x', 3), Query(None, 'y')]
    for line, message in (
        ('{"image": "a.jpg"', r'pairs.jsonl:1: broken JSON at column'),
        ('[1]', r'pairs.jsonl:1: \[1\] must be an object'),
        ('{"caption": 3}', 'caption is 3, must be a string'),
        ('{"image": 3}', 'image is 3, must be a file'),
    ):
        file.write_text(line + '\n')
        with pytest.raises(ValueError, match=message):
            read(file)
    file.write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match='not UTF-8'):
        read(file)


def test_what_is_no_input():
    with pytest.raises(ValueError, match='int is no picture'):
        read(3)
    with pytest.raises(ValueError, match='batch_size must be at least 1'):
        list(batched([1], 0))
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'TIFF', 'WEBP'])
def test_pictures_stand_as_a_person_sees_them(tmp_path, orientation, kind):
    stored = Image.fromarray(np.random.RandomState(0).randint(0, 255, (40, 64, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f'a.{kind.lower()}'
    stored.save(path, kind, exif=exif)
    seen = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert('RGB'))
    picture = Picture(path)
    assert picture.rgb().shape == seen.shape and picture.load()[1] == seen.shape[:2]
    np.testing.assert_allclose(picture.rgb().astype(int), seen.astype(int), atol=3)
    assert not picture.has_more
    assert picture.load((8, 8))[1] == seen.shape[:2]


def test_arrays_and_pil_pictures_are_files_too(tmp_path):
    array = np.random.RandomState(0).randint(0, 255, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / 'a.png')
    for source in (array, Image.fromarray(array), tmp_path / 'a.png'):
        np.testing.assert_array_equal(Picture(source).rgb(), array)
    assert Picture(tmp_path / 'a.png').sha256 != Picture(array).sha256
    for wrong in (array[..., 0], array.astype(float), array[:0]):
        with pytest.raises(ValueError, match='must be uint8'):
            Picture(wrong)


def test_broken_pictures(tmp_path):
    with pytest.raises(UnusableImageError, match='cannot be read'):
        Picture(tmp_path / 'none.jpg')
    (tmp_path / 'a.jpg').write_bytes(b'no picture')
    with pytest.raises(UnusableImageError, match='cannot be read'):
        Picture(tmp_path / 'a.jpg').load()


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGBA', 'P', 'CMYK', 'F', 'I', 'I;16'])
def test_pictures_of_other_modes(tmp_path, mode):
    picture = Image.new(mode, (5, 4))
    picture.save(tmp_path / 'a.tif')
    for source in (tmp_path / 'a.tif', picture):
        assert Picture(source).rgb().shape == (4, 5, 3)


def test_sixteen_bits_of_grey_are_not_white(tmp_path):
    grey = np.arange(200, dtype=np.uint16).reshape(10, 20)
    Image.fromarray(grey * 257).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(Picture(tmp_path / 'a.png').rgb()[..., 0], grey)


def test_text_that_is_no_unicode_and_a_mark_of_order(tmp_path):
    for text, what in (('\udce9', 'a byte that is not UTF-8'), ('\ud800', 'half of a surrogate'), ('\0', 'NUL')):
        for field in ('caption', 'image'):
            with pytest.raises(ValueError, match=f"query: {field} 'a .* b' holds .*{what}"):
                read({field: f'a {text} b'})
    (tmp_path / 'pairs.jsonl').write_text('\ufeff{"caption": "x"}\n', encoding='utf-8')
    assert read(tmp_path / 'pairs.jsonl') == [Query(None, 'x')]
    with pytest.raises(ValueError, match='bytes is no picture'):
        read(b'abc')


def test_the_limit_of_pixels_is_a_setting(tmp_path):
    picture = Image.new('RGB', (6, 5))
    picture.save(tmp_path / 'a.png')
    for source in (tmp_path / 'a.png', picture):
        assert Picture(source, max_pixels=30).rgb().shape == (5, 6, 3)
        with pytest.raises(UnusableImageError, match='it has 6x5 pixels, the limit is max_pixels=29'):
            Picture(source, max_pixels=29).load()


@pytest.mark.parametrize('kind', ['GIF', 'WEBP', 'PNG', 'TIFF'])
def test_a_file_of_several_pictures_is_known(tmp_path, kind):
    first, second = Image.new('RGB', (6, 5), 'red'), Image.new('RGB', (6, 5), 'blue')
    first.save(tmp_path / 'one', kind)
    first.save(tmp_path / 'two', kind, save_all=True, append_images=[second])
    assert not Picture(tmp_path / 'one').has_more and Picture(tmp_path / 'two').has_more
    assert not Picture(first).has_more
