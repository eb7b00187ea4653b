"""Copies of a picture are told from other pictures by their pixels."""

import cv2
import numpy as np
import pytest

from mmvlforge.evaluation.near_copies import likeness

RNG = np.random.default_rng(0)
PICTURE, OTHER = (
    cv2.resize(RNG.integers(0, 256, (12, 16, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC) for _ in range(2)
)


@pytest.mark.parametrize(
    'copy',
    [
        PICTURE,
        PICTURE[:, ::-1],
        cv2.resize(PICTURE, (60, 45), interpolation=cv2.INTER_AREA),
        PICTURE[12:108, 16:144],
        cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, 2),
        cv2.imdecode(cv2.imencode('.jpg', PICTURE, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR),
        PICTURE // 2 + 40,
    ],
    ids=['equal', 'mirrored', 'small', 'cropped', 'grey', 'jpeg', 'pale'],
)
def test_copies_are_alike(copy):
    assert likeness(PICTURE, copy) > 0.9
    assert likeness(copy, PICTURE) == pytest.approx(likeness(PICTURE, copy), abs=1e-5)


def test_other_pictures_are_not():
    assert likeness(PICTURE, OTHER) < 0.7


def test_plain_pictures_have_nothing_in_common():
    """Nor is there a division by zero."""
    plain = np.full((50, 50, 3), 128, np.uint8)
    assert -1 <= likeness(plain, PICTURE) < 0.7
    assert likeness(np.zeros((1, 1, 3), np.uint8), PICTURE) < 0.7
