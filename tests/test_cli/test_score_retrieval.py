"""The retrieval scorer's command line: output, JSON file, exit codes."""

import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from mmvlforge.cli import main
from mmvlforge.manifest import MANIFEST, described_file


class Payload:
    """Unpickling this would be heard of."""

    def __reduce__(self):
        return pytest.fail, ('a pickled object was loaded',)


@pytest.fixture
def arrays():
    """Four images, captions 0 to 3 right, caption 4 of image 0 nearest to image 1."""
    text_feats = np.vstack([np.eye(4), [[1, 2, 0, 0]]]).astype(np.float32)
    return dict(image_feats=np.eye(4, dtype=np.float32), text_feats=text_feats, text_to_image=np.array([0, 1, 2, 3, 0]))


def test_json_and_table(arrays, tmp_path, capsys):
    np.savez(tmp_path / 'f.npz', **arrays, other=np.ones(3))
    out = tmp_path / 'new' / 'out.json'
    assert main(['score', 'retrieval', str(tmp_path / 'f.npz'), '--out', str(out)]) == 0
    found = json.loads(out.read_text())
    manifest = found.pop(MANIFEST)
    assert manifest['features'] == described_file(tmp_path / 'f.npz') and 'versions' in manifest
    # Image 1: caption 4 (score 2) before its own (1). Caption 4: image 1 before its own.
    assert found == {
        'i2t_R@1': 75.0,
        'i2t_R@5': 100.0,
        'i2t_R@10': 100.0,
        't2i_R@1': 80.0,
        't2i_R@5': 100.0,
        't2i_R@10': 100.0,
        'RSUM': 555.0,
        'i2t_MedR': 1.0,
        't2i_MedR': 1.0,
    }
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '4 images, 5 captions, in percent (MedR in ranks)'
    assert 'RSUM      555.00' in lines
    assert len(lines) == 2 + len(found)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(image_feats=np.eye(3)), 'text_feats: float32 of shape (5, 4), must be numbers of shape (Nt, 3)'),
        (dict(image_feats=np.ones((2, 2, 2))), 'image_feats: float64 of shape (2, 2, 2)'),
        (dict(text_feats=np.full((5, 4), np.nan)), 'text_feats: nan at (0, 0), must be finite (20 such values)'),
        (dict(text_to_image=np.arange(4)), 'text_to_image: int64 of shape (4,), must be integers of shape (5,)'),
        (dict(text_to_image=np.array([0, 1, 2, 4, 3])), 'caption 3 belongs to image 4, there are images 0 to 3'),
        (dict(text_to_image=np.array([0, 1, 2, -1, 3])), 'caption 3 belongs to image -1'),
        (dict(text_to_image=np.array([0, 1, 2, 2, 0])), 'image 3 has no caption'),
        (dict(text_to_image=None), 'no array text_to_image; it has image_feats, text_feats'),
        (dict(text_feats=np.array([Payload()])), 'allow_pickle=False'),
        (dict(text_feats=np.array(['a'])), 'array text_feats: is of type <U1, must be numbers'),
    ],
)
def test_faults_exit_with_2_and_say_what_and_where(arrays, tmp_path, capsys, change, message):
    np.savez(tmp_path / 'f.npz', **{k: v for k, v in {**arrays, **change}.items() if v is not None})
    out = tmp_path / 'out.json'
    assert main(['score', 'retrieval', str(tmp_path / 'f.npz'), '--out', str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f'error: {tmp_path / "f.npz"}: ')
    assert message in captured.err
    assert captured.out == ''
    assert not out.exists()


def damaged(path, arrays):
    np.savez(path, **arrays)
    content = bytearray(path.read_bytes())
    content[200] ^= 255  # inside the first array: its checksum is wrong now
    path.write_bytes(content)


def cut(path, arrays):
    np.savez(path, **arrays)
    path.write_bytes(path.read_bytes()[:-100])


def single(path, arrays):
    with open(path, 'wb') as file:
        np.save(file, arrays['image_feats'])


@pytest.mark.parametrize(
    'write',
    [damaged, cut, single, lambda path, _: path.write_bytes(b''), lambda path, _: path.write_text('<html></html>')],
    ids=['damaged', 'cut', 'single', 'empty', 'html'],
)
def test_unreadable_files_exit_with_2(arrays, tmp_path, capsys, write):
    write(tmp_path / 'f.npz', arrays)
    assert main(['score', 'retrieval', str(tmp_path / 'f.npz')]) == 2
    assert capsys.readouterr().err.startswith(f'error: {tmp_path / "f.npz"}: ')


def with_header(path, arrays, header, data=b'', method=zipfile.ZIP_STORED, times=1):
    """An archive whose ``text_feats`` has this header and these data."""
    np.savez(path, **{name: value for name, value in arrays.items() if name != 'text_feats'})
    text = header.encode('latin1').ljust(117) + b'\n'
    with zipfile.ZipFile(path, 'a', method) as archive, archive.open('text_feats.npy', 'w') as file:
        file.write(b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text)
        for _ in range(times):
            file.write(data)


HEADER = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize(
    ('header', 'message'),
    [
        (
            HEADER.format('<f4', (10**12, 10**6)),
            f'of shape ({10**12}, {10**6}), which is {4 * 10**18} bytes, and has 80',
        ),
        (
            HEADER.format('<f4', (5, 3)),
            'should be float32 of shape (5, 3), which is 60 bytes, and has 80: it is damaged',
        ),
        (HEADER.format('<f4', (-5, -4)), 'has the shape (-5, -4)'),
        (HEADER.format('<f4', (True, 20)), 'has the shape (True, 20)'),
        (HEADER.format('<U0', (10**18,)), 'is of type <U0, must be numbers'),
        (HEADER.format('|O', (10,)), 'holds Python objects'),
        (HEADER.format('<f4', (5, 4)).replace(')', ''), 'has a header that cannot be read (TokenError)'),
        (HEADER.format('<f4', (5, 4)).replace("'<f4'", '"""'), 'has a header that cannot be read'),
        ('(' * 60, 'has a header that cannot be read'),
        ('', 'has a header that cannot be read'),
    ],
)
def test_a_lying_header_costs_no_memory(arrays, tmp_path, capsys, header, message):
    with_header(tmp_path / 'f.npz', arrays, header, arrays['text_feats'].tobytes())
    assert main(['score', 'retrieval', str(tmp_path / 'f.npz')]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f'error: {tmp_path / "f.npz"}: array text_feats: ') and message in told
    assert len(told.splitlines()) == 1 and len(told) < 500


def test_what_packs_too_well_is_not_unpacked(arrays, tmp_path, capsys):
    """A gigabyte in a megabyte."""
    header = HEADER.format('<f4', (2**18, 2**10))
    with_header(tmp_path / 'f.npz', arrays, header, bytes(2**20), zipfile.ZIP_DEFLATED, times=2**10)
    tracemalloc.start()
    assert main(['score', 'retrieval', str(tmp_path / 'f.npz')]) == 2
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()
    assert f'bytes that unpack to {2**30}: no features pack like that' in capsys.readouterr().err


def test_an_array_twice_is_refused(arrays, tmp_path, capsys):
    np.savez(tmp_path / 'f.npz', **arrays)
    with zipfile.ZipFile(tmp_path / 'f.npz', 'a') as archive, pytest.warns(UserWarning, match='Duplicate name'):
        archive.writestr('text_feats.npy', b'')
    assert main(['score', 'retrieval', str(tmp_path / 'f.npz')]) == 2
    assert 'f.npz: array text_feats: stands in it twice' in capsys.readouterr().err


def test_packed_features_are_read(arrays, tmp_path, capsys):
    np.savez_compressed(tmp_path / 'f.npz', **arrays)
    assert main(['score', 'retrieval', str(tmp_path / 'f.npz')]) == 0
    assert '4 images, 5 captions' in capsys.readouterr().out


def test_missing_file_exits_with_2(capsys):
    assert main(['score', 'retrieval', 'no_such_file.npz']) == 2
    assert 'no_such_file.npz' in capsys.readouterr().err
