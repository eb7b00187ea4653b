"""How far apart the similarities of positive and negative pairs lie (Fig. 4 of the ViLEM paper).

A positive pair is an image and one of its captions, any other pair is negative; a similarity is the dot product of two
rows of length 1, that is a cosine.

The paper plots "normalized margins between positive and negative pairs" without defining them. Here the margin of a
positive pair is its similarity minus the mean similarity of the negative pairs that share its image or its caption.
Divided by the distance from the lowest to the highest similarity of the set, it does not change when all similarities
are stretched or shifted, as another temperature would do; it is between -1 and 1.
"""

import numpy as np

from mmvlforge.evaluation.retrieval import checked_features

__all__ = ['similarity_distribution']

_ROWS = 256  # images compared at a time


def similarity_distribution(image_feats, text_feats, text_to_image, bins: int = 100) -> dict[str, dict]:
    """Histograms, means and deviations of similarities and normalised margins.

    Args:
        image_feats: ``(Ni, D)``, Ni ≥ 2.
        text_feats: ``(Nt, D)``.
        text_to_image: Index of each caption's image, ``(Nt,)``; every image has at least one caption.
        bins: Bars of a histogram, over -1 to 1.

    Returns:
        ``positive``, ``negative`` and ``normalised_margin``, each with ``count``, ``mean``, ``std`` and ``histogram``
        (shares of the count, one a bar); ``edges`` (of the bars, bins + 1) and ``range`` (lowest and highest
        similarity).

    Raises:
        ValueError: Features do not fit each other or are not finite, or there is no negative pair.
    """
    images, texts, owner = checked_features(image_feats, text_feats, text_to_image)
    if len(images) < 2:
        raise ValueError('one image alone has no negative pair')
    images, texts = (_unit(rows.astype(np.float64)) for rows in (images, texts))
    edges = np.linspace(-1, 1, bins + 1)
    own = np.einsum('nd,nd->n', images[owner], texts)
    captions = np.bincount(owner, minlength=len(images))
    own_of_image = np.bincount(owner, own, len(images))

    histogram = np.zeros(bins, np.int64)
    lowest, highest, squares = np.inf, -np.inf, 0.0
    for start in range(0, len(images), _ROWS):
        scores = np.clip(images[start : start + _ROWS] @ texts.T, -1, 1)
        lowest, highest = min(lowest, scores.min()), max(highest, scores.max())
        scores = scores[np.arange(start, start + len(scores))[:, None] != owner]
        histogram += np.histogram(scores, edges)[0]
        squares += np.square(scores).sum()
    # Sums over an image's or a caption's pairs need no matrix.
    of_image = images @ texts.sum(axis=0) - own_of_image
    of_text = texts @ images.sum(axis=0) - own
    negatives = (len(texts) - captions)[owner] + len(images) - 1
    margins = own - (of_image[owner] + of_text) / negatives
    margins = margins / max(highest - lowest, 1e-12)

    count = len(images) * len(texts) - len(texts)
    mean = of_image.sum() / count
    spread = max(squares / count - mean**2, 0.0) ** 0.5
    return dict(
        positive=_summary(own, edges),
        negative=dict(count=count, mean=float(mean), std=float(spread), histogram=(histogram / count).tolist()),
        normalised_margin=_summary(margins, edges),
        edges=edges.tolist(),
        range=[float(lowest), float(highest)],
    )


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _summary(values: np.ndarray, edges: np.ndarray) -> dict:
    shares = np.histogram(np.clip(values, -1, 1), edges)[0] / len(values)
    return dict(count=len(values), mean=float(values.mean()), std=float(values.std()), histogram=shares.tolist())
