"""The maths of retrieval metrics: features in, numbers out. No files, no framework.

Legend: Ni images, Nt captions, N samples, F frames, D channels. Similarity is the dot product of the features as they
are given. Rates are in percent, ranks start at 0, median ranks (MedR) at 1.

Scores are exact. In floating point a matrix product gives the same pair of rows another last bit at another place of
the matrix, or in a chunk of another shape: equal captions would not tie, and a rank would depend on how the work was
cut. So each row is first rounded to multiples of a power of two near its length / 2²⁵. That moves a score by some 10⁻⁸
of the two lengths, less than float32 arithmetic does, and products and sums of such numbers fit into float64 without
rounding, in whatever order. Equal rows have equal scores, and ranks depend on nothing but the features.

Ties: of two candidates with the same score the one of lower index comes first. The rank of a candidate is thus the
number of candidates with a strictly higher score, plus those of the same score and a lower index: its place in a stable
sort.
"""

import math
from collections.abc import Sequence

import numpy as np

__all__ = [
    'PAIR_MEANS',
    'WINOGROUND_CHANCE',
    'checked_features',
    'image_text_chance',
    'image_text_metrics',
    'pairwise_metrics',
    'retrieval_ranks',
    'text_to_video_metrics',
    'winoground_metrics',
]

RECALL_AT = (1, 5, 10)
PAIR_MEANS = ('prefix', 'macro')
WINOGROUND_CHANCE = dict(text_score=25.0, image_score=25.0, group_score=100 / 6)
_BITS = 25.9  # most of a row's length in units of its grid, as a power of two: scores then stay below 2**52 units
_SHORTEST = 2.0**-400  # a row so much shorter than the longest is 0, lest products underflow
_TILE = (256, 1024)  # images and captions ranked at a time: 2 MB of scores


def _features(values, shape: Sequence, what: str) -> np.ndarray:
    """Check features: finite numbers of the given shape, where a letter stands for any positive size."""
    values = np.asarray(values)
    wanted = f'({", ".join(map(str, shape))})'
    fits = values.ndim == len(shape) and all(w in (n, str(w)) for w, n in zip(shape, values.shape))
    if values.dtype.kind not in 'fiu' or not fits or not values.size:
        raise ValueError(
            f'{what}: {values.dtype} of shape {values.shape}, must be numbers of shape {wanted}, none of them 0'
        )
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        place = tuple(bad[0].tolist())
        raise ValueError(f'{what}: {values[place]} at {place}, must be finite ({len(bad)} such values)')
    return values


def _on_grid(values: np.ndarray) -> np.ndarray:
    """Scale all by a power of two, and round each row on a grid of its own, so that dot products are exact in float64.

    Every partial sum of a dot product is at most the product of two row lengths (Cauchy-Schwarz), here below 2**52
    times the product of the two grids' units.
    """
    peak = float(np.max(np.abs(values)))
    if peak == 0:
        return np.zeros(values.shape)
    values = values.astype(np.float64)
    values /= math.ldexp(1.0, math.frexp(peak)[1] - 1)  # the largest value is now in [1, 2): no overflow
    lengths = np.sqrt(np.einsum('...d,...d->...', values, values))[..., None]
    units = np.exp2(np.ceil(np.log2(np.maximum(lengths, _SHORTEST)) - _BITS))
    values /= units
    return np.multiply(np.rint(values, out=values), units, out=values)


def _check_text_to_image(text_to_image, n_texts: int, n_images: int) -> np.ndarray:
    owner = np.asarray(text_to_image)
    if owner.shape != (n_texts,) or owner.dtype.kind not in 'iu':
        found = f'{owner.dtype} of shape {owner.shape}'
        raise ValueError(f'text_to_image: {found}, must be integers of shape ({n_texts},), one a caption')
    outside = np.flatnonzero((owner < 0) | (owner >= n_images))
    if outside.size:
        where = f'caption {outside[0]} belongs to image {owner[outside[0]]}'
        raise ValueError(f'text_to_image: {where}, there are images 0 to {n_images - 1} ({outside.size} such captions)')
    owner = owner.astype(np.int64)
    alone = np.flatnonzero(np.bincount(owner, minlength=n_images) == 0)
    if alone.size:
        raise ValueError(f'text_to_image: image {alone[0]} has no caption ({alone.size} such images)')
    return owner


def checked_features(image_feats, text_feats, text_to_image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arrays of the arguments of :func:`retrieval_ranks`, which says what is right and what it raises."""
    image_feats = _features(image_feats, ('Ni', 'D'), 'image_feats')
    text_feats = _features(text_feats, ('Nt', image_feats.shape[1]), 'text_feats')
    return image_feats, text_feats, _check_text_to_image(text_to_image, len(text_feats), len(image_feats))


def _count_before(scores: np.ndarray, own_scores: np.ndarray, own: np.ndarray) -> np.ndarray:
    """For each query, how many candidates of a tile come before its own one.

    Args:
        scores: Without rounding errors, ``(queries, candidates)``.
        own_scores: Score of each query's own candidate.
        own: Its index, counted from the tile's first candidate; it may lie outside.
    """
    size = scores.shape[1]
    # Where the whole tile has lower indices than the own candidate, equals come before it as well.
    bar = np.where(own >= size, np.nextafter(own_scores, -np.inf), own_scores)
    before = np.count_nonzero(scores > bar[:, None], axis=1)
    inside = np.flatnonzero((own > 0) & (own < size))
    ties = (scores[inside] == own_scores[inside, None]) & (np.arange(size) < own[inside, None])
    before[inside] += np.count_nonzero(ties, axis=1)
    return before


def retrieval_ranks(image_feats, text_feats, text_to_image) -> tuple[np.ndarray, np.ndarray]:
    """Rank of each image's first own caption among all captions, and of each caption's image among all images.

    Args:
        image_feats: ``(Ni, D)``.
        text_feats: ``(Nt, D)``.
        text_to_image: Index of each caption's image, ``(Nt,)``; every image has at least one caption, any number will
            do, in any order.

    Returns:
        Ranks from 0, int64 ``(Ni,)`` and ``(Nt,)``.

    Raises:
        ValueError: A shape does not fit, a value is not finite, an index is out of range, an image has no caption.
    """
    image_feats, text_feats, owner = checked_features(image_feats, text_feats, text_to_image)
    images, texts = _on_grid(image_feats), _on_grid(text_feats)
    own_scores = np.einsum('nd,nd->n', images[owner], texts)
    # By image, then by falling score; both stable, so the first of an image's captions is its best of lowest index.
    order = np.lexsort((-own_scores, owner))
    best = order[np.unique(owner[order], return_index=True)[1]]

    image_ranks, text_ranks = np.zeros(len(images), np.int64), np.zeros(len(texts), np.int64)
    for i in range(0, len(images), _TILE[0]):
        rows = slice(i, i + _TILE[0])
        for j in range(0, len(texts), _TILE[1]):
            columns = slice(j, j + _TILE[1])
            scores = images[rows] @ texts[columns].T
            image_ranks[rows] += _count_before(scores, own_scores[best[rows]], best[rows] - j)
            text_ranks[columns] += _count_before(scores.T, own_scores[columns], owner[columns] - i)
    return image_ranks, text_ranks


def _recalls(ranks: np.ndarray, prefix: str) -> dict[str, float]:
    return {f'{prefix}_R@{k}': 100.0 * np.count_nonzero(ranks < k) / len(ranks) for k in RECALL_AT}


def _median(ranks: np.ndarray) -> float:
    return float(np.median(ranks + 1))


def image_text_metrics(image_feats, text_feats, text_to_image) -> dict[str, float]:
    """Recall of image-to-text (i2t) and text-to-image retrieval (t2i).

    ``i2t_R@K`` is the share of images with any of their captions among the first K, ``t2i_R@K`` the share of captions
    whose image is; K = 1, 5, 10. ``RSUM`` is the sum of the six, ``i2t_MedR`` and ``t2i_MedR`` are median ranks.

    Args:
        image_feats: As in :func:`retrieval_ranks`.
        text_feats: As in :func:`retrieval_ranks`.
        text_to_image: As in :func:`retrieval_ranks`.
    """
    i2t, t2i = retrieval_ranks(image_feats, text_feats, text_to_image)
    recalls = {**_recalls(i2t, 'i2t'), **_recalls(t2i, 't2i')}
    return {**recalls, 'RSUM': sum(recalls.values()), 'i2t_MedR': _median(i2t), 't2i_MedR': _median(t2i)}


def image_text_chance(text_to_image, num_images: int) -> dict[str, float]:
    """What random order gets: expected ``i2t_R@1`` … ``t2i_R@10`` and ``RSUM``.

    Args:
        text_to_image: As in :func:`retrieval_ranks`.
        num_images: Ni.
    """
    owner = _check_text_to_image(text_to_image, len(text_to_image), num_images)
    others = len(owner) - np.bincount(owner)
    chance = {}
    for k in RECALL_AT:
        draws = np.arange(min(k, len(owner)))
        # The first k are all of other images.
        missed = np.prod(np.maximum(others[:, None] - draws, 0) / (len(owner) - draws), axis=1)
        chance[f'i2t_R@{k}'] = 100.0 * float(np.mean(1 - missed))
    chance.update({f't2i_R@{k}': 100.0 * min(k / num_images, 1.0) for k in RECALL_AT})
    return {**chance, 'RSUM': sum(chance.values())}


def text_to_video_metrics(frame_feats: Sequence, text_feats, text_to_video) -> dict[str, float]:
    """Recall and median rank of text-to-video retrieval: ``t2v_R@1``, ``t2v_R@5``, ``t2v_R@10``, ``t2v_MedR``.

    A video's feature is the mean of its frames' features, brought to length 1.

    Args:
        frame_feats: One array ``(F, D)`` a video; F may differ.
        text_feats: ``(Nt, D)``.
        text_to_video: Index of each caption's video, ``(Nt,)``; every video has at least one caption.
    """
    videos = []
    for i, frames in enumerate(frame_feats):
        mean = _features(frames, ('F', 'D'), f'frame_feats of video {i}').astype(np.float64).mean(axis=0)
        length = np.linalg.norm(mean)
        if not length:
            raise ValueError(f'frame_feats of video {i}: the mean of the frames is 0, it has no direction')
        videos.append(mean / length)
    if len({len(video) for video in videos}) > 1:
        raise ValueError(f'frame_feats: videos differ in D: {sorted({len(video) for video in videos})}')
    _, ranks = retrieval_ranks(videos, text_feats, text_to_video)
    return {**_recalls(ranks, 't2v'), 't2v_MedR': _median(ranks)}


def _share(hits: np.ndarray) -> float:
    return 100.0 * np.count_nonzero(hits) / len(hits)


def _labels(given: Sequence, n: int, what: str) -> np.ndarray:
    labels = np.asarray(given)
    if labels.shape != (n,):
        raise ValueError(f'{what}: shape {labels.shape}, must be ({n},), one a sample')
    return labels


def winoground_metrics(
    image_feats, text_feats, tags: Sequence[str] | None = None, num_preds: Sequence[int] | None = None
) -> dict[str, float]:
    """Text, image and group score of Winoground, all comparisons strict.

    With s(c, i) the similarity of a sample's two captions and two images: ``text_score`` is the share of samples with
    s(c0, i0) > s(c1, i0) and s(c1, i1) > s(c0, i1); ``image_score`` with s(c0, i0) > s(c0, i1) and
    s(c1, i1) > s(c1, i0); ``group_score`` with both. Chance is ``WINOGROUND_CHANCE``.

    Args:
        image_feats: ``(N, 2, D)``.
        text_feats: ``(N, 2, D)``.
        tags: ``collapsed_tag`` of each sample; adds ``text_score/Object`` and the like.
        num_preds: ``num_main_preds`` of each sample; adds ``text_score/1_pred`` and the like.
    """
    images = _features(image_feats, ('N', 2, 'D'), 'image_feats')
    texts = _features(text_feats, (len(images), 2, images.shape[2]), 'text_feats')
    s = np.einsum('nid,ncd->nci', _on_grid(images), _on_grid(texts))  # (N, caption, image)
    text = (s[:, 0, 0] > s[:, 1, 0]) & (s[:, 1, 1] > s[:, 0, 1])
    image = (s[:, 0, 0] > s[:, 0, 1]) & (s[:, 1, 1] > s[:, 1, 0])
    hits = dict(text_score=text, image_score=image, group_score=text & image)

    metrics = {name: _share(hit) for name, hit in hits.items()}
    for given, what, ending in ((tags, 'tags', ''), (num_preds, 'num_preds', '_pred')):
        if given is not None:
            labels = _labels(given, len(images), what)
            for value in np.unique(labels):
                metrics.update({f'{name}/{value}{ending}': _share(hit[labels == value]) for name, hit in hits.items()})
    return metrics


def pairwise_metrics(image_feats, text_feats, categories: Sequence[str], means: str = 'prefix') -> dict[str, float]:
    """Share of samples whose true caption scores strictly higher than each false one, by category.

    Chance is 100 / K for K captions a sample. A sample without a false caption is won.

    Args:
        image_feats: ``(N, D)``.
        text_feats: The true caption of each sample, then the false ones: N arrays ``(K, D)``; K may differ.
        categories: Category of each sample, ``(N,)``.
        means: ``'prefix'`` adds the unweighted mean of the categories that share the part of their name before the
            first underscore: replace, swap and add of SugarCrepe. ``'macro'`` adds ``macro``, the unweighted mean of
            all categories, as for ARO.
    """
    if means not in PAIR_MEANS:
        raise ValueError(f'means {means!r} is unknown; choose one of {PAIR_MEANS}')
    images = _features(image_feats, ('N', 'D'), 'image_feats')
    if len(text_feats) != len(images):
        raise ValueError(f'text_feats: of {len(text_feats)} samples, must be of {len(images)}')
    groups = [_features(t, ('K', images.shape[1]), f'text_feats of sample {i}') for i, t in enumerate(text_feats)]
    labels = _labels(categories, len(images), 'categories')
    counts = [len(group) for group in groups]
    first = np.cumsum([0, *counts[:-1]])
    scores = np.einsum('nd,nd->n', _on_grid(images).repeat(counts, axis=0), _on_grid(np.concatenate(groups)))
    true = scores[first]
    scores[first] = -np.inf
    hits = true > np.maximum.reduceat(scores, first)

    metrics = {str(name): _share(hits[labels == name]) for name in np.unique(labels)}
    parts: dict[str, list] = {}
    for name, value in metrics.items():
        parts.setdefault('macro' if means == 'macro' else name.split('_')[0], []).append(value)
    return {**metrics, **{name: math.fsum(values) / len(values) for name, values in parts.items()}}
