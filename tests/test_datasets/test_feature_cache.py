"""Features of pictures on disk: of whom they are, how far they are, and what refuses them."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from mmvlforge.datasets.feature_cache import FeatureCache
from mmvlforge.datasets.transforms import LoadImageFeatures

KEY = dict(weights='0a', preprocessing='1b')
PICTURES = ['a.jpg', 'b.jpg', 'c.jpg']
TOKENS = np.arange(3 * 2 * 4, dtype=np.float16).reshape(3, 2, 4)


def test_features_go_on_from_where_their_making_stopped(tmp_path):
    cache = FeatureCache.begin(tmp_path / 'new', KEY, PICTURES)
    cache.add(TOKENS[:1])
    with pytest.raises(ValueError, match='1 of 3 pictures are encoded'):
        cache.tokens('a.jpg')
    again = FeatureCache.begin(tmp_path / 'new', KEY, PICTURES)
    assert again.done == 1
    again.add(TOKENS[1:])
    read = FeatureCache(tmp_path / 'new')
    assert [read.tokens(name).tolist() for name in PICTURES] == TOKENS.tolist()
    assert isinstance(read.tokens('a.jpg'), np.memmap)


def test_pictures_that_were_written_when_it_was_killed_are_written_again(tmp_path):
    cache = FeatureCache.begin(tmp_path, KEY, PICTURES)
    cache.add(TOKENS[:1])
    before = (tmp_path / 'done').read_text()
    cache.add(TOKENS[:1] + 9)  # killed here, before `done` was written
    (tmp_path / 'done').write_text(before)
    FeatureCache.begin(tmp_path, KEY, PICTURES).add(TOKENS[1:])
    assert [FeatureCache(tmp_path).tokens(name).tolist() for name in PICTURES] == TOKENS.tolist()


@pytest.mark.parametrize(
    ('key', 'pictures', 'told'),
    [
        (dict(KEY, weights='0c'), PICTURES, 'made with other weights: their fingerprint was 0a, not 0c'),
        (dict(KEY, preprocessing='1d'), PICTURES, 'made with other preprocessing: their fingerprint was 1b, not 1d'),
        (dict(weights='0a'), PICTURES, 'made with other preprocessing: their fingerprint was 1b, not None'),
        (KEY, PICTURES[:2], 'holds features of 3 pictures, and they are others than the 2'),
        (KEY, PICTURES[::-1], 'they are others'),
    ],
)
def test_features_of_something_else_are_refused(tmp_path, key, pictures, told):
    FeatureCache.begin(tmp_path, KEY, PICTURES)
    with pytest.raises(ValueError, match=told):
        FeatureCache.begin(tmp_path, key, pictures)


def test_what_is_wrong_with_features_is_told(tmp_path):
    with pytest.raises(ValueError, match='holds no features of pictures; FeatureCacheHook makes them'):
        FeatureCache(tmp_path)
    cache = FeatureCache.begin(tmp_path, KEY, PICTURES)
    with pytest.raises(ValueError, match=r'features of a.jpg or a picture after it are not finite'):
        cache.add(np.full((1, 2, 4), np.inf, np.float16))
    cache.add(TOKENS[:1])
    with pytest.raises(ValueError, match=re.escape('is float16 (3, 2, 4), the next tokens are float16 (3, 5, 4)')):
        cache.add(np.zeros((1, 5, 4), np.float16))
    cache.add(TOKENS[1:])
    with pytest.raises(ValueError, match=r'has no features of d.jpg'):
        cache.tokens('d.jpg')
    (tmp_path / 'done').write_text('many')
    with pytest.raises(ValueError, match='must hold the number of pictures'):
        FeatureCache.begin(tmp_path, KEY, PICTURES).add(TOKENS[:1])
    (tmp_path / 'about.json').write_text('{"key": 1}')
    with pytest.raises(ValueError, match="about.json: needs 'key', 'pictures' and 'stamps', .*; delete the folder"):
        FeatureCache(tmp_path)


def test_a_picture_that_was_changed_is_noticed(tmp_path):
    pictures = [str(tmp_path / name) for name in PICTURES]
    for path in pictures[:2]:  # the third one is not there
        Path(path).write_bytes(b'one')
    FeatureCache.begin(tmp_path / 'cache', KEY, pictures).add(TOKENS)
    os.utime(pictures[0], ns=(1, 1))  # copied: another time, the same bytes
    Path(pictures[1]).unlink()  # gone
    assert FeatureCache.begin(tmp_path / 'cache', KEY, pictures).done == 3
    for data in (b'two', b'three'):  # of the same size, and of another
        Path(pictures[0]).write_bytes(data)
        with pytest.raises(ValueError, match=r'a.jpg: is another picture than the one whose features .*cache holds'):
            FeatureCache.begin(tmp_path / 'cache', KEY, pictures)


def test_the_transform_reads_a_group_as_pictures_of_one_channel(tmp_path):
    FeatureCache.begin(tmp_path, KEY, PICTURES).add(TOKENS)
    load = LoadImageFeatures(str(tmp_path), [])
    found = load(dict(img_paths=['c.jpg', 'a.jpg'], box=None))['imgs']
    assert [img.shape for img in found] == [(2, 4, 1), (2, 4, 1)]
    assert np.array_equal(found[0][..., 0], TOKENS[2])
    with pytest.raises(ValueError, match=r'c.jpg: features of a part of a picture, \(0, 0, 1, 1\), are not kept'):
        load(dict(img_paths=['c.jpg'], box=(0, 0, 1, 1)))
