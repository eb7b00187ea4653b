"""The data checker: every bad record at once, by kind, and its exit codes."""

import json

import pytest
from mmengine.config import Config
from PIL import Image
from project import ROOT, run_tool

from mmvlforge.cli import main


def check(*args):
    return main(['data', 'check', *args])


def record(**fields):
    base = dict(id=1, image='DGM4/a.jpg', text='a b c', fake_cls='orig', fake_image_box=[], fake_text_pos=[])
    return {**base, **fields}


SWAP = dict(fake_cls='face_swap', fake_image_box=[0, 0, 20, 10])
GOOD = [record(), record(**SWAP), record(text='d e', fake_cls='text_swap', fake_text_pos=[1])]


@pytest.fixture
def write(tmp_path):
    def make(records, name='ann.json'):
        path = tmp_path / name
        path.write_text(records if isinstance(records, str) else json.dumps(records))
        return str(path)

    return make


@pytest.fixture
def pictures(tmp_path):
    """An image root with one 20x10 picture."""
    root = tmp_path / 'root'
    (root / 'DGM4').mkdir(parents=True)
    Image.new('RGB', (20, 10), (200, 90, 20)).save(root / 'DGM4' / 'a.jpg')
    return root


def test_good_file(write, capsys):
    path = write(GOOD)
    assert check(path) == 0
    assert capsys.readouterr().out.splitlines() == [
        f'{path}: 3 records, 0 bad',
        '',
        '3 good records, 1 pictures',
        '  words: 8, 2.7 a caption, at most 3',
        '  fake words: 1 (12.5 %)',
        '  with a box: 1 (33.3 %)',
        '  orig: 1 (33.3 %)',
        '  face_swap: 1 (33.3 %)',
        '  text_swap: 1 (33.3 %)',
    ]


def test_every_bad_record_is_listed_by_kind(write, capsys):
    no_text = record()
    del no_text['text']
    bad = [
        no_text,
        record(fake_cls='morph'),
        record(fake_cls='warp'),
        record(fake_cls='face_swap', fake_image_box=[5, 5, 5, 9]),
        record(fake_cls='face_swap', fake_image_box=[-5, 5, 6, 9]),
        record(fake_cls='text_swap', fake_text_pos=[3]),
        record(fake_cls='face_swap'),
        record(fake_text_pos=[0]),
        'not a record',
    ]
    assert check(write([*GOOD, *bad])) == 1
    out = capsys.readouterr().out
    assert '12 records, 9 bad' in out and '3 good records' in out
    for lines in (
        "missing field: 1\n  record 3, field 'text': is missing",
        "unknown class: 2\n  record 4, field 'fake_cls': 'morph' is unknown",
        "  record 5, field 'fake_cls': 'warp' is unknown",
        "degenerate box: 1\n  record 6, field 'fake_image_box': [5, 5, 5, 9] must have x1 < x2",
        "box outside the image: 1\n  record 7, field 'fake_image_box': [-5, 5, 6, 9] must not be negative",
        "word position out of range: 1\n  record 8, field 'fake_text_pos': [3] must lie in 0..2: 3 words",
        "class and box disagree: 1\n  record 9, field 'fake_image_box': 'face_swap' needs a box, got []",
        "class and words disagree: 1\n  record 10, field 'fake_text_pos': 'orig' needs no position, got [0]",
        'not an object: 1\n  record 11, ',
    ):
        assert lines in out


def test_max_show_limits_what_is_shown_not_what_is_counted(write, capsys):
    assert check(write([record(fake_cls='x')] * 5), '--max-show', '2') == 1
    out = capsys.readouterr().out
    assert 'unknown class: 5\n  record 0,' in out and 'record 1,' in out and 'record 2,' not in out
    assert '  and 3 more' in out


@pytest.mark.parametrize('workers', ['1', '2'])
def test_pictures(write, pictures, workers, capsys):
    data = (pictures / 'DGM4' / 'a.jpg').read_bytes()
    (pictures / 'DGM4' / 'cut.jpg').write_bytes(data[: len(data) // 2])
    (pictures / 'DGM4' / 'text.jpg').write_text('<html>')
    records = [
        *GOOD,
        record(image='DGM4/none.jpg'),
        record(image='DGM4/cut.jpg'),
        record(image='DGM4/text.jpg', fake_cls='morph'),
        record(fake_cls='face_swap', fake_image_box=[0, 0, 22, 10]),
        record(fake_cls='face_swap', fake_image_box=[0, 0, 20, 12]),
        record(image=None),
    ]
    assert check(write(records), '--image-root', str(pictures), '--workers', workers) == 1
    out = capsys.readouterr().out
    assert '9 records, 6 bad' in out
    assert "missing image: 1\n  record 3, field 'image': " in out and 'none.jpg does not exist' in out
    assert 'unreadable image: 2\n  record 4,' in out and 'cut.jpg cannot be read' in out
    assert 'text.jpg cannot be read' in out
    assert 'unknown class: 1\n  record 5,' in out  # also where the picture is bad
    assert 'box outside the image: 2\n  record 6,' in out
    assert '[0, 0, 20, 12] must lie inside the image of 20x10 pixels' in out


def test_boxes_that_training_cuts_are_listed_and_no_fault(write, pictures, capsys):
    boxes = [[-1, 0, 5, 5], [0, 0, 21, 10.5]]
    path = write([*GOOD, *(record(fake_cls='face_swap', fake_image_box=box) for box in boxes)])
    assert check(path, '--image-root', str(pictures), '--workers', '1') == 0
    out = capsys.readouterr().out
    assert '5 records, 0 bad' in out and '5 good records' in out
    head = 'boxes that reach beyond the edge of their picture, cut there, no fault: 2'
    assert f'{head}\n  record 3: [-1, 0, 5, 5] becomes [0, 0, 5, 5]\n  record 4: [0, 0, 21, 10.5] becomes' in out
    assert check(path, '--max-show', '0') == 0
    # Without the pictures, what is negative shows.
    assert 'cut there, no fault: 1\n  and 1 more' in capsys.readouterr().out


def test_what_json_can_write_and_nothing_can_use(write, pictures, capsys):
    """Such records once were good for the checker, and stopped training without a word of which they were."""
    swap = json.dumps(record(**SWAP))
    records = [
        json.dumps(record(image='DGM4/a.jpg\0')),
        json.dumps(record(image='DGM4/\ud800.jpg')),
        json.dumps(record(text='a \udfff')),
        swap.replace('20', 'NaN'),
        swap.replace('20', 'Infinity'),
        swap.replace('20', '1' + '0' * 400),
        swap.replace('"id": 1', '"text": "x"'),
        json.dumps(record()),
    ]
    path = write(f'[{", ".join(records)}]')
    assert check(path, '--image-root', str(pictures), '--workers', '1') == 1
    out = capsys.readouterr().out
    assert '8 records, 7 bad' in out
    assert "bad field: 3\n  record 0, field 'image': 'DGM4/a.jpg\\x00' holds NUL at letter 10" in out
    assert "bad box: 3\n  record 3, field 'fake_image_box': [0, 0, nan, 10] must hold finite numbers" in out
    assert f'not an object: 1\n  record 6, {path}:1: broken JSON in record 6 at column' in out
    assert "the key 'text' stands twice" in out


def test_good_pictures(write, pictures):
    assert check(write(GOOD), '--image-root', str(pictures), '--workers', '1') == 0


def test_one_record_a_line_with_broken_lines(write, capsys):
    lines = [json.dumps(record()), '{"image": ', '[1]', json.dumps(record(fake_cls='x'))]
    path = write('\n'.join(lines), 'ann.jsonl')
    assert check(path) == 1
    out = capsys.readouterr().out
    assert '4 records, 3 bad' in out
    assert f'{path}:2: broken JSON at column' in out and f'{path}:3: [1] must be a JSON object' in out
    assert 'record 3, field' in out


@pytest.mark.parametrize(('text', 'message'), [('[{"a": 1},\n', 'ann.json:2: broken JSON'), ('[]', 'no records')])
def test_file_that_cannot_be_read_as_records(write, capsys, text, message):
    assert check(write(text)) == 1
    assert message in capsys.readouterr().out


def test_format_from_a_config(write, capsys):
    config = str(ROOT / 'configs' / 'dgm4_plus' / 'dca_imq_dgm4_plus.py')
    path = write([record(fake_cls='origin'), record(**SWAP)])
    assert check(path, '--config', config) == 0
    assert check(path) == 1
    assert "'origin' is unknown" in capsys.readouterr().out


@pytest.mark.parametrize('workers', ['1', '2'])
def test_pictures_are_read_as_the_training_set_of_a_config_reads_them(write, pictures, tmp_path, workers, capsys):
    exif = Image.Exif()
    exif[274] = 6
    Image.new('RGB', (20, 10)).save(pictures / 'DGM4' / 'turned.jpg', exif=exif)
    path = write([record(image='DGM4/turned.jpg', fake_cls='face_swap', fake_image_box=[0, 0, 10, 20])])

    def check_with(**settings):
        cfg = Config.fromfile(str(ROOT / 'configs' / 'dgm4' / 'dca_imq.py'))
        cfg.merge_from_dict({f'train_dataloader.dataset.pipeline.1.{key}': value for key, value in settings.items()})
        cfg.dump(tmp_path / 'config.py')
        config = str(tmp_path / 'config.py')
        return check(path, '--image-root', str(pictures), '--workers', workers, '--config', config)

    assert check_with() == 1  # boxes are in the stored frame
    assert '[0, 0, 10, 20] must lie inside the image of 20x10 pixels' in capsys.readouterr().out
    assert check_with(orientation='seen', max_pixels=200) == 0
    assert check_with(orientation='seen', max_pixels=199) == 1
    out = capsys.readouterr().out
    assert "unreadable image: 1\n  record 0, field 'image': " in out
    assert 'turned.jpg is not decoded: it has 20x10 pixels, the limit is max_pixels=199' in out


@pytest.mark.parametrize(
    'wrong',
    [
        ['none.json'],
        ['ANN', '--image-root', 'no/such/folder'],
        ['ANN', '--config', 'no_config.py'],
        ['ANN', '--workers', '0'],
        ['ANN', '--max-show', '-1'],
        ['ANN', '--unknown'],
        [],
    ],
)
def test_wrong_arguments_exit_with_2(write, wrong, capsys):
    assert check(*(write(GOOD) if word == 'ANN' else word for word in wrong)) == 2
    assert 'error' in capsys.readouterr().err.lower()


def test_as_a_command(write):
    ran = run_tool('-m', 'mmvlforge', 'data', 'check', write([record(fake_cls='x')]), check=False)
    assert ran.returncode == 1, ran.stderr
    assert 'unknown class: 1' in ran.stdout and not ran.stderr
