"""Bytes that come in: pictures, tar shards, checkpoints, feature archives, calibrations, indexes."""

import collections
import copy
import functools
import importlib
import io
import json
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from campaign import campaign, told
from mutations import damage, dumps, mutate
from PIL import Image
from safetensors.torch import save

from mmvlforge.apis.calibration import LearntCalibration, read_calibration, write_calibration
from mmvlforge.apis.index_stores import Entry, ExactStore
from mmvlforge.datasets.shards import read_shard
from mmvlforge.datasets.transforms.loading import UnusableImageError, decode_image
from mmvlforge.evaluation.calibration import fit_calibration
from mmvlforge.evaluation.feature_file import read_features
from mmvlforge.models.weights.reading import read_state_dict

# Pictures


def _pixels(mode: str) -> np.ndarray:
    """A smooth picture of 48x32 pixels with an edge in it."""
    y, x = np.mgrid[:32, :48]
    levels = np.stack([x * 5, y * 7, (x + y) * 3], -1).astype(np.uint8)
    levels[8:20, 10:30] = 255 - levels[8:20, 10:30]
    return np.asarray(Image.fromarray(levels).convert(mode))


TURNED = Image.Exif()
TURNED[274] = 6  # EXIF's orientation
# format, mode, settings of Pillow
KINDS = [
    *(('JPEG', mode, dict(quality=90)) for mode in ('RGB', 'L', 'CMYK')),
    *(('PNG', mode, {}) for mode in ('RGB', 'L', 'RGBA', 'P', '1')),
    *(('WEBP', 'RGB', settings) for settings in (dict(lossless=True), dict(quality=90))),
    *(('GIF', 'P', {}), ('BMP', 'RGB', {}), ('TIFF', 'RGB', {}), ('TIFF', 'RGB', dict(compression='tiff_lzw'))),
    ('JPEG', 'RGB', dict(quality=90, progressive=True, exif=TURNED)),
]


@functools.cache
def _picture(number: int) -> bytes:
    kind, mode, settings = KINDS[number]
    file = io.BytesIO()
    Image.fromarray(_pixels(mode), mode).save(file, kind, **settings)
    return file.getvalue()


def _by_pillow(data: bytes) -> np.ndarray | None:
    """The picture as another decoder sees it, RGB; None if that one refuses it."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert('RGB'))
    except Exception:
        return None


@pytest.mark.filterwarnings('ignore')
def test_pictures(tmp_path):
    def check(rng, folder):
        number = rng.randrange(len(KINDS))
        data = _picture(number)
        whole = rng.random() < 0.1
        if not whole:
            data = damage(rng, data)
        (folder / 'picture').write_bytes(data)
        try:
            with Image.open(io.BytesIO(data)) as image:
                if image.size[0] * image.size[1] > 4_000_000:  # right or refused, it takes the time of the others
                    return 'skipped'
        except Exception:
            pass
        target = rng.choice([None, None, (16, 16), (8, 4)])
        try:
            img, size = decode_image(data, 'picture-7', target)
        except UnusableImageError as error:
            assert not whole
            told(error, 'picture-7')
            return 'error'
        assert img.dtype == np.uint8 and img.ndim == 3 and img.shape[2] == 3 and min(size) > 0
        if target is None:
            assert (img.shape[1], img.shape[0]) == tuple(size)
        else:
            assert all(have >= min(want, of) for have, want, of in zip(img.shape[1::-1], target, size))
        expected = _by_pillow(data)
        if expected is not None and expected.shape == img.shape:
            # Two decoders of a JPEG round and smooth differently.
            assert np.abs(img[..., ::-1].astype(int) - expected).mean() < (8 if KINDS[number][0] == 'JPEG' else 1)
        return 'right'

    campaign('pictures', tmp_path / 'case', 800, check)


# Tar shards


def test_shards(tmp_path):
    samples = {f'{i:04d}': dict(jpg=bytes([i]) * (100 + 300 * i), txt=b'a man %d' % i, json=b'{}') for i in range(6)}

    def check(rng, folder):
        buffer, parts = io.BytesIO(), {}
        settings = dict(format=rng.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
        with tarfile.open(fileobj=buffer, mode='w', **settings) as tar:
            for key, files in samples.items():
                for ending, content in files.items():
                    info = tarfile.TarInfo(f'{key}.{ending}')
                    info.size = len(content)
                    start = tar.offset
                    tar.addfile(info, io.BytesIO(content))
                    parts[key, ending] = start + 512, start + 512 + len(content)
        original = buffer.getvalue()
        data = bytearray(original)
        if rng.random() < 0.6:  # bits of any place, so that it is known which contents they hit
            for _ in range(rng.choice([0, 1, 1, 2, 5])):
                data[rng.randrange(len(data) - 9000)] ^= 1 << rng.randrange(8)
        else:
            data = bytearray(damage(rng, original))
        path = folder / 'shard.tar'
        path.write_bytes(data)
        try:
            found = list(read_shard(str(path)))
        except ValueError as error:
            return told(error, path, 'byte ')
        problems = [sample for sample in found if sample.problem]
        for sample in problems:
            told(ValueError(f'{sample.place}: {sample.problem}'), path)
        read = {(s.key, ending): content for s in found for ending, content in s.files.items()}
        lost = [part for part in parts if part not in read]
        if len(data) == len(original):
            same = [part for part, (start, end) in parts.items() if data[start:end] == original[start:end]]
            assert all(read[part] == samples[part[0]][part[1]] for part in same if part in read)
        # Whoever lost a file is an incomplete sample, or a damaged place tells of it.
        incomplete = {s.key for s in found if set(s.files) != {'jpg', 'txt', 'json'}}
        assert all(key in incomplete or problems for key, _ in lost)
        return 'skipped' if problems or lost else 'right'

    campaign('shards', tmp_path / 'case', 1000, check)


# Checkpoints

STATE = {f'layer{i}.{name}': torch.arange(24.0).reshape(4, 6) + i for i in range(3) for name in ('weight', 'bias')}
CALLED: list[str] = []


def call(name: str) -> None:
    """What a hostile file wants to run."""
    CALLED.append(name)


class Hostile:
    """Pickled, it calls something when it is read."""

    def __init__(self, function, *args) -> None:
        self.how = function, args

    def __reduce__(self):
        return self.how


def _files() -> dict[str, bytes]:
    def saved(content, **settings) -> bytes:
        file = io.BytesIO()
        torch.save(content, file, **settings)
        return file.getvalue()

    return {
        'zip.pth': saved(dict(state_dict=STATE)),
        'old.pth': saved(STATE, _use_new_zipfile_serialization=False),
        'x.safetensors': save(STATE),
    }


def _hostile(rng, folder) -> object:
    canary = str(folder / 'canary')
    return rng.choice(
        [
            Hostile(call, 'a function of ours'),
            Hostile(os.mkdir, canary),
            Hostile(os.system, f'touch {canary}'),
            Hostile(eval, f'open({canary!r}, "w")'),
            Hostile(getattr, Hostile(importlib.import_module, 'os'), 'system'),
            Hostile(functools.partial, os.mkdir, canary),
            Hostile(collections.deque, [Hostile(os.mkdir, canary)]),
            Hostile(io.open, canary, 'w'),
        ]
    )


def _equal(state) -> bool:
    return state.keys() == STATE.keys() and all(torch.equal(state[name], STATE[name]) for name in STATE)


@pytest.mark.filterwarnings('ignore')
def test_checkpoints(tmp_path):
    files = _files()

    def check(rng, folder):
        name = rng.choice(list(files))
        # Never the same name twice: what was found out about a file may be kept by name, size and time.
        path, data = folder / f'{rng.randrange(10**9)}-{name}', files[name]
        kind = rng.choice(['bytes', 'bytes', 'bytes', 'hostile', 'text', 'whole'])
        if kind == 'hostile':
            path = path.with_suffix('.pth')
            content = {'state_dict': STATE, 'meta': _hostile(rng, folder)}
            if rng.random() < 0.3:
                path.write_bytes(pickle.dumps(content))
            else:
                torch.save(content, path, _use_new_zipfile_serialization=rng.random() < 0.5)
        elif kind == 'text':
            texts = [b'', b'<html></html>' * 99, b'{"a": 1}', bytes(5000), pickle.dumps(7), b'PK\3\4']
            path.write_bytes(rng.choice(texts))
        else:
            path.write_bytes(damage(rng, data) if kind == 'bytes' else data)
        try:
            state = read_state_dict(path)
        except ValueError as error:
            assert kind != 'whole'
            assert not CALLED and not (folder / 'canary').exists()
            return told(error, path)
        assert kind not in ('hostile', 'text')
        assert not CALLED and not (folder / 'canary').exists()
        # Neither safetensors nor PyTorch's old form has a checksum: damage of the numbers themselves is not to be seen.
        if name == 'zip.pth' or kind == 'whole':
            assert _equal(state)
        return 'right'

    campaign('checkpoints', tmp_path / 'case', 600, check)


# Feature archives


FEATURES = dict(
    image_feats=np.arange(12, dtype=np.float32).reshape(3, 4),
    text_feats=np.arange(20, dtype=np.float16).reshape(5, 4),
    text_to_image=np.array([0, 1, 2, 0, 1]),
)
TYPES = ('<f4', '<f2', '<i8', '|O', '<U9', '>f8')
SHAPES = ('(3, 4)', '(5, 4)', '(5,)', '()', '(-1, 4)', '(99999999, 99999999)')
HEADER_PARTS = (*TYPES, *SHAPES, "'", '{', '(', ' ', '\n')


def _with_header(rng, data: bytes) -> bytes:
    """An archive whose arrays have other headers, and checksums that are right all the same."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, 'w', rng.choice([0, 8])) as new:
        for name in old.namelist():
            content = old.read(name)
            if rng.random() < 0.5:
                head, body = content[:128], content[128:]
                part = rng.choice(HEADER_PARTS).encode()
                old_part = rng.choice([p.encode() for p in HEADER_PARTS if p.encode() in head])
                head = head.replace(old_part, part, rng.choice([1, -1])) if rng.random() < 0.7 else damage(rng, head)
                content = head[:128].ljust(128) + body
            new.writestr(name, content)
    return out.getvalue()


@pytest.mark.filterwarnings('ignore')
def test_features(tmp_path):
    def check(rng, folder):
        file = io.BytesIO()
        rng.choice([np.savez, np.savez_compressed])(file, **FEATURES, other=np.ones(3))
        data, lying = file.getvalue(), rng.random() < 0.4
        if lying:
            data = _with_header(rng, data)
        elif rng.random() < 0.9:
            data = damage(rng, data)
        path = folder / 'features.npz'
        path.write_bytes(data)
        try:
            found = read_features(path)
        except (ValueError, OSError) as error:
            return told(error, path)
        for name, array in FEATURES.items():
            if lying:  # another type or shape of as many bytes is what the file says
                assert found[name].nbytes == array.nbytes and found[name].dtype.kind in 'biuf'
            else:
                np.testing.assert_array_equal(found[name], array)
                assert found[name].dtype == array.dtype
        return 'right'

    campaign('features', tmp_path / 'case', 1000, check)


# Calibrations


def test_calibrations(tmp_path):
    labels = np.arange(60) % 2 == 0
    logits = np.where(labels, 1.0, -1.0) + np.linspace(-2, 2, 60)
    fitted = fit_calibration(1 / (1 + np.exp(-logits)), labels, dict(swap=(logits, labels)), 0.1)
    protocol = dict(set='val', pairs=60, fakes=30, left_out=0, false_alarms=0.1, seed=0)
    write_calibration(LearntCalibration(fitted, protocol), 'abc', tmp_path / 'whole.json')
    whole = json.loads((tmp_path / 'whole.json').read_text())

    def check(rng, folder):
        path, content = folder / 'calibration.json', copy.deepcopy(whole)
        if rng.random() < 0.6:
            content = mutate(rng, content)
        data = dumps(rng, content).encode('utf-8', 'surrogatepass')
        path.write_bytes(damage(rng, data) if rng.random() < 0.4 else data)
        try:
            found = read_calibration(path, 'abc').fitted
        except (ValueError, OSError) as error:
            return told(error, path)
        assert 0 <= found.lower <= found.threshold <= 1
        for score in (0.0, 0.3, 1.0):
            assert 0 <= found.scale(score) <= 1 and 0 <= found.scale_type('swap', score) <= 1
            assert found.bin_of(found.scale(score)).pairs >= 0
        return 'right'

    campaign('calibrations', tmp_path / 'case', 800, check)


# Indexes


def test_indexes(tmp_path):
    whole = ExactStore(str(tmp_path / 'whole'))
    whole.create(dict(schema='x'), 2)
    entries = [
        Entry(str(i), [f'/{i}.jpg', f'/copy/{i}.jpg'], ['a dog'], dict(year=2000 + i, ok=True)) for i in range(4)
    ]
    whole.put(entries, np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], np.float32))
    whole.delete(['2'])
    files = {path.name: path.read_bytes() for path in (tmp_path / 'whole').iterdir()}
    lines = [json.loads(line) for line in files['entries.jsonl'].splitlines()]

    def check(rng, folder):
        data = dict(files)
        if rng.random() < 0.6:
            changed = mutate(rng, copy.deepcopy(lines))
            if isinstance(changed, list):
                texts = [dumps(rng, line).replace('\n', ' ') for line in changed]
                data['entries.jsonl'] = ''.join(f'{text}\n' for text in texts).encode('utf-8', 'surrogatepass')
        if rng.random() < 0.5:
            name = rng.choice(sorted(data))
            data[name] = damage(rng, data[name])
        (folder / 'index').mkdir()
        for name, content in data.items():
            (folder / 'index' / name).write_bytes(content)
        try:
            store = ExactStore(str(folder / 'index'))
            found = store.search(np.array([[1, 0]], np.float32), 9)[0]
        except (ValueError, OSError) as error:
            return told(error, folder / 'index')
        assert store.count() == len(found) and all(isinstance(hit.entry.fields, dict) for hit in found)
        assert all(isinstance(text, str) for hit in found for text in (*hit.entry.paths, *hit.entry.captions))
        return 'right'

    campaign('indexes', tmp_path / 'case', 800, check)
