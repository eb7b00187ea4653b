"""Similarities of positive and negative pairs."""

import numpy as np
import pytest

from mmvlforge.evaluation.retrieval import image_text_chance
from mmvlforge.evaluation.similarity import similarity_distribution

# Two images; captions 0 and 1 are of image 0, caption 2 of image 1. Lengths are not 1: cosines count.
IMAGES = [[2.0, 0.0], [0.0, 1.0]]
TEXTS = [[3.0, 0.0], [0.6, 0.8], [0.0, 5.0]]
OWNER = [0, 0, 1]


def test_by_hand():
    # positive: 1, .6, 1; negative: image 0 with caption 2: 0; image 1 with 0: 0, with 1: .8.
    found = similarity_distribution(IMAGES, TEXTS, OWNER, bins=4)
    assert found['edges'] == [-1, -0.5, 0, 0.5, 1]
    assert found['range'] == pytest.approx([0, 1])
    assert found['positive']['count'] == found['negative']['count'] == 3
    assert found['positive']['mean'] == pytest.approx(2.6 / 3)
    assert found['negative']['mean'] == pytest.approx(0.8 / 3)
    assert found['negative']['std'] == pytest.approx(np.std([0, 0, 0.8]))
    assert found['positive']['histogram'] == pytest.approx([0, 0, 0, 1])
    assert found['negative']['histogram'] == pytest.approx([0, 0, 2 / 3, 1 / 3])
    # caption 0 with 0 and 0; caption 1 with 0 and .8; caption 2 with 0, .8 and 0
    margins = [1, 0.6 - 0.4, 1 - 0.8 / 3]
    assert found['normalised_margin']['mean'] == pytest.approx(np.mean(margins))
    assert found['normalised_margin']['std'] == pytest.approx(np.std(margins))


def test_chunks_of_images_and_stretched_features():
    rng = np.random.default_rng(0)
    images, owner = rng.normal(size=(600, 8)), rng.permutation(np.arange(1200) % 600)
    texts = images[owner] + rng.normal(size=(1200, 8))
    found = similarity_distribution(images, texts, owner)
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts)]
    scores, own = units[0] @ units[1].T, np.arange(600)[:, None] == owner
    assert found['negative']['mean'] == pytest.approx(scores[~own].mean())
    assert found['negative']['std'] == pytest.approx(scores[~own].std())
    assert sum(found['negative']['histogram']) == pytest.approx(1)
    margins = []
    for text, image in enumerate(owner):
        others = np.concatenate([scores[image][~own[image]], scores[:, text][~own[:, text]]])
        margins.append((scores[image, text] - others.mean()) / (scores.max() - scores.min()))
    assert found['normalised_margin']['mean'] == pytest.approx(np.mean(margins))


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (([[1.0, 0.0]], TEXTS, [0, 0, 0]), 'one image alone has no negative pair'),
        ((IMAGES, TEXTS, [0, 0, 0]), 'image 1 has no caption'),
        ((IMAGES, [[np.nan, 1.0]] * 3, OWNER), 'text_feats: nan'),
    ],
)
def test_wrong_arguments(args, message):
    with pytest.raises(ValueError, match=message):
        similarity_distribution(*args)


def test_chance_of_recall():
    # Image 0 has 2 of 12 captions, images 1 to 10 one each.
    chance = image_text_chance([0, 0, *range(1, 11)], 11)
    assert chance['i2t_R@1'] == pytest.approx(100 * (2 / 12 + 10 / 12) / 11)
    # Five draws miss both captions of image 0 with (10 9 8 7 6) / (12 11 10 9 8) = 42 / 132.
    assert chance['i2t_R@5'] == pytest.approx(100 * (1 - 42 / 132 + 10 * 5 / 12) / 11)
    assert chance['t2i_R@10'] == pytest.approx(1000 / 11)
    assert chance['RSUM'] == pytest.approx(sum(v for k, v in chance.items() if k != 'RSUM'))
    assert image_text_chance([0, 1], 2)['t2i_R@5'] == image_text_chance([0, 1], 2)['i2t_R@5'] == 100
