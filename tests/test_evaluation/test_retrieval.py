"""Retrieval maths: hand-made values, brute force, ties, wrong inputs."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from mmvlforge.evaluation import retrieval
from mmvlforge.evaluation.retrieval import (
    image_text_metrics,
    pairwise_metrics,
    retrieval_ranks,
    text_to_video_metrics,
    winoground_metrics,
)


def brute_force(image_feats, text_feats, owner):
    """Places in a stable sort of scores from exact integers, one query at a time."""
    scores = [[sum(int(a) * int(b) for a, b in zip(i, t)) for t in text_feats] for i in image_feats]
    image_ranks = []
    for i, row in enumerate(scores):
        order = sorted(range(len(row)), key=lambda t: -row[t])
        image_ranks.append(min(order.index(t) for t in range(len(row)) if owner[t] == i))
    text_ranks = []
    for t, image in enumerate(owner):
        column = [row[t] for row in scores]
        text_ranks.append(sorted(range(len(column)), key=lambda i: -column[i]).index(image))
    return image_ranks, text_ranks


def owners(rng, n_images, n_texts):
    """Each image owns at least one caption, in any order."""
    owner = np.concatenate([np.arange(n_images), rng.integers(0, n_images, n_texts - n_images)])
    return rng.permutation(owner)


def unit(rng, *shape):
    feats = rng.normal(size=shape).astype(np.float32)
    return feats / np.linalg.norm(feats, axis=-1, keepdims=True)


def test_ranks_by_hand():
    images = [[1, 0], [0, 1], [1, 1]]
    texts = [[3, 0], [0, 1], [1, 1], [0, 2]]
    # scores      t0 t1 t2 t3
    # image 0      3  0  1  0   own: t0 → 0
    # image 1      0  1  1  2   own: t1, t3; t3 leads → 0
    # image 2      3  1  2  2   own: t2, behind t0 only (t3 ties, but its index is higher) → 1
    # t0: image 0 ties with 2, lower index → 0; t1: image 1 ties with 2 → 0
    # t2: image 2 leads → 0; t3: image 1 ties with 2 → 0
    image_ranks, text_ranks = retrieval_ranks(images, texts, [0, 1, 2, 1])
    assert image_ranks.tolist() == [0, 0, 1]
    assert text_ranks.tolist() == [0, 0, 0, 0]
    # The other way round in index, the ties fall the other way.
    image_ranks, text_ranks = retrieval_ranks(images[::-1], texts[::-1], [1, 0, 1, 2])
    assert image_ranks.tolist() == [2, 0, 0]
    assert text_ranks.tolist() == [1, 0, 1, 1]


def test_metrics_by_hand():
    # Captions stand in the order of the images but for two, which are swapped in a set of 12.
    feats = np.eye(12)
    owner = np.arange(12)
    owner[[3, 7]] = [7, 3]
    # Image 3: caption 3 leads, the other 11 tie at 0 in order of index, so its own, 7, is at place 7 (0 … 2 before it,
    # 3 at the top, then 4, 5, 6). Image 7: caption 7 leads, its own, 3, follows 0, 1, 2: place 4.
    found = image_text_metrics(feats, feats, owner)
    assert found == {
        'i2t_R@1': pytest.approx(1000 / 12),
        'i2t_R@5': pytest.approx(1100 / 12),
        'i2t_R@10': 100.0,
        't2i_R@1': pytest.approx(1000 / 12),
        't2i_R@5': pytest.approx(1100 / 12),
        't2i_R@10': 100.0,
        'RSUM': pytest.approx(2 * 3300 / 12),
        'i2t_MedR': 1.0,
        't2i_MedR': 1.0,
    }
    assert all(type(value) is float for value in found.values())


def test_median_rank_starts_at_one_and_may_lie_between():
    # All equal: each caption's image is at its own index, each image's first caption too.
    found = image_text_metrics(np.ones((4, 2)), np.ones((4, 2)), [3, 2, 1, 0])
    assert (found['i2t_MedR'], found['t2i_MedR'], found['t2i_R@1']) == (2.5, 2.5, 25.0)


def test_constant_features_are_not_rewarded():
    owner = np.repeat(np.arange(50), 5)
    found = image_text_metrics(np.ones((50, 8)), np.ones((250, 8)), owner)
    assert (found['i2t_R@1'], found['i2t_R@10']) == (2.0, 4.0)  # captions 0 … 9 belong to images 0 and 1
    assert (found['t2i_R@1'], found['t2i_R@10']) == (2.0, 20.0)


@pytest.mark.parametrize('tile', [(1, 1), (2, 3), (256, 1024)])
@pytest.mark.parametrize('n_images, n_texts, dims', [(1, 1, 1), (1, 6, 2), (9, 9, 3), (20, 70, 2), (31, 97, 8)])
def test_ranks_equal_brute_force_with_many_ties(monkeypatch, tile, n_images, n_texts, dims):
    monkeypatch.setattr(retrieval, '_TILE', tile)
    rng = np.random.default_rng(n_texts)
    images, texts = rng.integers(-2, 3, (n_images, dims)), rng.integers(-2, 3, (n_texts, dims))
    owner = owners(rng, n_images, n_texts)
    found = retrieval_ranks(images, texts, owner)
    expected = brute_force(images, texts, owner)
    assert found[0].tolist() == expected[0]
    assert found[1].tolist() == expected[1]


def test_ranks_equal_a_sort_of_float64_scores():
    rng = np.random.default_rng(0)
    images, texts, owner = unit(rng, 60, 256), unit(rng, 200, 256), owners(rng, 60, 200)
    order = np.argsort(-(texts.astype(np.float64) @ images.astype(np.float64).T), axis=1)
    assert np.array_equal(retrieval_ranks(images, texts, owner)[1], np.argwhere(order == owner[:, None])[:, 1])


def test_equal_captions_tie_wherever_they_stand(monkeypatch):
    # Every caption occurs 7 times. A plain matrix product gives some copies another last bit than others.
    rng = np.random.default_rng(0)
    images = unit(rng, 41, 100)
    texts = np.tile(unit(rng, 41, 100), (7, 1))
    owner = np.tile(np.arange(41), 7)
    found = [retrieval_ranks(images, texts, owner)]
    assert (found[0][0] % 7 == 0).all()  # 7 copies of each better caption come first, none of the own
    for tile in [(1, 1), (3, 50), (41, 7)]:
        monkeypatch.setattr(retrieval, '_TILE', tile)
        found.append(retrieval_ranks(images, texts, owner))
    for image_ranks, text_ranks in found[1:]:
        assert np.array_equal(image_ranks, found[0][0])
        assert np.array_equal(text_ranks, found[0][1])


def test_scores_on_the_grid_are_exact_and_near():
    rng = np.random.default_rng(0)
    a, b = unit(rng, 20, 768), unit(rng, 30, 768)
    x, y = retrieval._on_grid(a), retrieval._on_grid(b)
    found = x @ y.T
    exact = [[sum(Fraction(p) * Fraction(q) for p, q in zip(r, s)) for s in y.tolist()] for r in x.tolist()]
    assert [list(map(Fraction, row)) for row in found.tolist()] == exact
    true = a.astype(np.float64) @ b.astype(np.float64).T
    factor = 2.0 ** np.round(np.log2(np.abs(found / true))).max()  # each array is scaled by a power of two
    np.testing.assert_allclose(found / factor, true, rtol=0, atol=1e-7)


def test_short_rows_keep_their_digits_beside_a_long_one():
    rng = np.random.default_rng(0)
    images, texts = unit(rng, 60, 64), unit(rng, 200, 64)
    owner = owners(rng, 60, 200)
    expected = retrieval_ranks(images, texts, owner)
    long = np.zeros((1, 64))
    long[0, 0] = 1e12
    found = retrieval_ranks(np.concatenate([images, long]), np.concatenate([texts, -long]), [*owner, 60])
    before = (images[:, 0] < 0).astype(int)  # the long caption is ahead of all others, or behind
    assert np.array_equal(found[0][:60], expected[0] + before)
    assert np.array_equal(found[1][:200], expected[1] + (texts[:, 0] * 1e12 > np.sum(texts * images[owner], axis=1)))


@pytest.mark.parametrize('scale', [2.0**-1060, 2.0**-100, 3.0, 2.0**100, 2.0**1000])
def test_scale_changes_nothing(scale):
    rng = np.random.default_rng(0)
    images, texts, owner = rng.integers(1, 4, (9, 3)), rng.integers(1, 4, (30, 3)), owners(rng, 9, 30)
    expected = retrieval_ranks(images, texts, owner)
    found = retrieval_ranks(images * scale, texts, owner)
    assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])


def test_zeros_and_torch_and_half_precision():
    owner = [0, 1, 1]
    assert retrieval_ranks(np.zeros((2, 3)), np.zeros((3, 3)), owner)[1].tolist() == [0, 1, 1]
    images, texts = torch.eye(2), torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    assert retrieval_ranks(images, texts, torch.tensor(owner))[0].tolist() == [0, 0]
    assert retrieval_ranks(images.half(), texts.half().numpy(), owner)[1].tolist() == [0, 0, 0]


def test_inputs_are_left_as_they_are():
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    copies = images.copy(), texts.copy()
    retrieval_ranks(images, texts, [0, 1, 2])
    assert np.array_equal(images, copies[0]) and np.array_equal(texts, copies[1])


NAN = np.array([[1.0, 2], [3, np.nan], [np.inf, 1]])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(image_feats=np.ones(3)), r'image_feats: float64 of shape \(3,\), must be numbers of shape \(Ni, D\)'),
        (dict(image_feats=np.ones((0, 2))), r'image_feats: float64 of shape \(0, 2\)'),
        (dict(image_feats=np.array([['a', 'b']])), r'image_feats: <U1'),
        (dict(image_feats=NAN), r'image_feats: nan at \(1, 1\), must be finite \(2 such values\)'),
        (
            dict(text_feats=np.ones((4, 3))),
            r'text_feats: float64 of shape \(4, 3\), must be .* \(Nt, 2\)',
        ),
        (dict(text_feats=np.full((4, 2), -np.inf)), r'text_feats: -inf at \(0, 0\), must be finite \(8'),
        (dict(text_to_image=[0, 1, 2]), r'text_to_image: int64 of shape \(3,\), must be integers of shape \(4,\)'),
        (dict(text_to_image=[0.0, 1, 2, 2]), r'text_to_image: float64 of shape'),
        (dict(text_to_image=[0, 1, 3, 2]), r'caption 2 belongs to image 3, there are images 0 to 2 \(1 such'),
        (dict(text_to_image=[0, -1, 1, 2]), r'caption 1 belongs to image -1'),
        (dict(text_to_image=[0, 2, 2, 2]), r'text_to_image: image 1 has no caption \(1 such'),
    ],
)
def test_wrong_inputs_are_named(change, message):
    right = dict(image_feats=np.ones((3, 2)), text_feats=np.ones((4, 2)), text_to_image=[0, 1, 2, 2])
    image_text_metrics(**right)
    with pytest.raises(ValueError, match=message):
        image_text_metrics(**{**right, **change})


# Video


def test_text_to_video_by_hand():
    # Video 0's frames cancel but for the first axis, video 2 has a single, long frame.
    frames = [[[1, 1], [1, -1]], [[0, 2], [0, 4]], [[100, 100]]]
    # Features (1, 0), (0, 1), (.71, .71): length does not count.
    texts = [[1, 0], [1, 1], [0, 1], [0.1, 1]]
    found = text_to_video_metrics(frames, texts, [0, 2, 1, 0])
    # Ranks 0, 0, 0, 2.
    assert found == {'t2v_R@1': 75.0, 't2v_R@5': 100.0, 't2v_R@10': 100.0, 't2v_MedR': 1.0}
    assert text_to_video_metrics(frames, texts, [1, 2, 0, 1])['t2v_MedR'] == 2.0  # ranks 2, 0, 2, 0


def test_text_to_video_wrong_inputs():
    texts = np.eye(2)
    with pytest.raises(ValueError, match='video 1: the mean of the frames is 0'):
        text_to_video_metrics([[[1, 0]], [[1, 0], [-1, 0]]], texts, [0, 1])
    with pytest.raises(ValueError, match=r'frame_feats of video 0: float64 of shape \(0, 2\)'):
        text_to_video_metrics([np.ones((0, 2)), np.ones((1, 2))], texts, [0, 1])
    with pytest.raises(ValueError, match=r'frame_feats: videos differ in D: \[2, 3\]'):
        text_to_video_metrics([np.ones((1, 2)), np.ones((1, 3))], texts, [0, 1])
    with pytest.raises(ValueError, match='image 1 has no caption'):
        text_to_video_metrics([np.ones((1, 2)), np.ones((1, 2))], texts, [0, 0])


# Winoground


def winoground_case(s00, s10, s01, s11):
    """Images and captions with s(c, i) as given: images are unit vectors, so a caption's entries are its scores."""
    return np.eye(2), np.array([[s00, s01], [s10, s11]])


def test_winoground_by_hand():
    cases = [
        #                 c0i0 c1i0 c0i1 c1i1
        winoground_case(9, 1, 2, 8),  # text, image, group
        winoground_case(3, 2, 4, 5),  # text only: caption 0 likes image 1 better than its own
        winoground_case(3, 4, 2, 5),  # image only: image 0 likes caption 1 better than its own
        winoground_case(1, 2, 3, 1),  # none
        winoground_case(5, 5, 5, 5),  # none: equal is not higher
        winoground_case(5, 4, 4, 4),  # none: c1 at i1 only equals c0 at i1 and c1 at i0
    ]
    images, texts = map(np.stack, zip(*cases))
    tags, preds = ['Object', 'Relation', 'Object', 'Both', 'Object', 'Object'], [1, 1, 2, 1, 1, 1]
    third, quarter = pytest.approx(100 / 3), 25.0
    assert winoground_metrics(images, texts) == dict(
        text_score=third, image_score=third, group_score=pytest.approx(100 / 6)
    )
    assert winoground_metrics(images, texts, tags, preds) == {
        'text_score': third, 'image_score': third, 'group_score': pytest.approx(100 / 6),
        'text_score/Object': quarter, 'image_score/Object': 50.0, 'group_score/Object': quarter,
        'text_score/Relation': 100.0, 'image_score/Relation': 0.0, 'group_score/Relation': 0.0,
        'text_score/Both': 0.0, 'image_score/Both': 0.0, 'group_score/Both': 0.0,
        'text_score/1_pred': 40.0, 'image_score/1_pred': 20.0, 'group_score/1_pred': 20.0,
        'text_score/2_pred': 0.0, 'image_score/2_pred': 100.0, 'group_score/2_pred': 0.0,
    }  # fmt: skip


def test_winoground_equal_captions_never_win():
    # Caption 1 is caption 0 (or image 1 image 0) bit for bit: no rounding may tell them apart.
    rng = np.random.default_rng(0)
    images, texts = unit(rng, 300, 2, 77), unit(rng, 300, 2, 77)
    texts[:, 1] = texts[:, 0]
    assert winoground_metrics(images, texts)['text_score'] == 0
    images[:, 1] = images[:, 0]
    assert winoground_metrics(images, unit(rng, 300, 2, 77))['image_score'] == 0


def test_winoground_of_random_features_is_at_chance():
    rng = np.random.default_rng(0)
    found = winoground_metrics(unit(rng, 40000, 2, 8), unit(rng, 40000, 2, 8))
    assert found == dict(
        text_score=pytest.approx(25, abs=0.7),
        image_score=pytest.approx(25, abs=0.7),
        group_score=pytest.approx(100 / 6, abs=0.7),
    )


def test_winoground_wrong_inputs():
    good = np.ones((3, 2, 4))
    with pytest.raises(ValueError, match=r'image_feats: .*\(3, 1, 4\), must be numbers of shape \(N, 2, D\)'):
        winoground_metrics(np.ones((3, 1, 4)), good)
    with pytest.raises(ValueError, match=r'text_feats: .*\(2, 2, 4\), must be numbers of shape \(3, 2, 4\)'):
        winoground_metrics(good, good[:2])
    with pytest.raises(ValueError, match=r'tags: shape \(2,\), must be \(3,\)'):
        winoground_metrics(good, good, ['Object', 'Both'])


# Pairs


def test_pairs_by_hand():
    images = np.tile([1.0, 0], (6, 1))
    true, false = [5, 3, 2, 1, 4, 4], [4, 3, 1, 2, 1, 5]  # higher: yes, equal, yes, no, yes, no
    texts = np.zeros((6, 2, 2))
    texts[:, 0, 0], texts[:, 1, 0] = true, false
    categories = ['swap_obj', 'add_att', 'add_att', 'replace_rel', 'replace_att', 'replace_rel']
    each = dict(add_att=50.0, replace_att=100.0, replace_rel=0.0, swap_obj=100.0)
    # replace: the mean of its two categories, not of its three samples.
    assert pairwise_metrics(images, texts, categories) == dict(each, replace=50.0, swap=100.0, add=50.0)
    assert pairwise_metrics(images, texts, categories, 'macro') == dict(each, macro=62.5)


def test_several_false_captions_by_hand():
    images = np.tile([1.0, 0], (5, 1))
    scores = [[5, 3, 4, 1], [5, 3, 6, 1], [5, 5], [2], [3, 1, 2]]  # each lower: yes, one higher, equal, none, yes
    texts = [np.stack([row, np.zeros(len(row))], axis=1) for row in scores]
    assert pairwise_metrics(images, texts, ['order'] * 5) == dict(order=60.0)


def test_pairs_wrong_inputs():
    images, texts = np.ones((2, 3)), np.ones((2, 2, 3))
    with pytest.raises(ValueError, match="means 'micro' is unknown"):
        pairwise_metrics(images, texts, ['a', 'b'], 'micro')
    with pytest.raises(ValueError, match=r'categories: shape \(1,\), must be \(2,\)'):
        pairwise_metrics(images, texts, ['a'])
    with pytest.raises(ValueError, match=r'text_feats of sample 0: .*\(2, 4\), must be numbers of shape \(K, 3\)'):
        pairwise_metrics(images, np.ones((2, 2, 4)), ['a', 'b'])
    with pytest.raises(ValueError, match='text_feats: of 3 samples, must be of 2'):
        pairwise_metrics(images, np.ones((3, 2, 3)), ['a', 'b'])
    texts[1, 0, 2] = np.nan
    with pytest.raises(ValueError, match=r'text_feats of sample 1: nan at \(0, 2\)'):
        pairwise_metrics(images, texts, ['a', 'b'])
