"""The maths of proofreading: which words of edited captions were found, and what was written in their place.

Legend: T word tokens of all captions end to end, E of them edited, k candidates, the best first.
"""

import numpy as np

from mmvlforge.evaluation.manipulation import binary_metrics

__all__ = ['blind_proofreading', 'proofreading_metrics']

CORRECT_AT = (1, 5)


def proofreading_metrics(edited, originals, wrong=None, candidates=None, editable=None) -> dict[str, float]:
    """Detection and correction of edited tokens, in percent.

    ``detection_AUC`` is how well P(wrong) ranks edited tokens above kept ones, over all tokens of the set,
    ``detection_AUC_editable`` over those that could have been edited, where to know which words are ever edited is no
    help;
    ``correction_top1`` and ``correction_top5`` are the shares of edited tokens whose original is the first, or among
    the first five candidates, found or not.

    Args:
        edited: True for an edited token, ``(T,)``.
        originals: Ids that stood there before the edition, ``(E,)``.
        wrong: P(wrong), ``(T,)``; None leaves detection out.
        candidates: Ids proposed for the edited tokens, ``(E, k)``, k ≥ 5; None leaves correction out.
        editable: True for a token that could have been edited, ``(T,)``; None leaves ``detection_AUC_editable`` out.

    Raises:
        ValueError: A shape does not fit, no token is edited, or one that could not be.
    """
    edited, originals = np.asarray(edited, dtype=bool), np.asarray(originals)
    if originals.shape != (np.count_nonzero(edited),) or not originals.size:
        raise ValueError(
            f'originals: shape {originals.shape} for {np.count_nonzero(edited)} edited tokens, must be one for each, '
            'and at least one'
        )
    metrics = {}
    if wrong is not None:
        if np.shape(wrong) != edited.shape:
            raise ValueError(f'wrong: shape {np.shape(wrong)}, must be {edited.shape}, one a token')
        metrics['detection_AUC'] = binary_metrics(wrong, edited)['AUC']
        if editable is not None:
            editable = _editable(editable, edited)
            metrics['detection_AUC_editable'] = binary_metrics(np.asarray(wrong)[editable], edited[editable])['AUC']
    if candidates is not None:
        metrics.update(_correction(originals, np.asarray(candidates)))
    return metrics


def blind_proofreading(edited, originals, input_ids, editable=None) -> dict[str, float]:
    """The metrics of the best guesser that looks neither at the picture nor at the other words.

    It knows how often each word of the edited captions is wrong: words that are never edited, such as stop words, are
    easy for it, so its AUC is above 50. Among editable words that is no help, and its AUC is above 50 only as far as
    some of them are written oftener than others. In place of any it proposes the words that were edited most often.

    Args:
        edited: As in :func:`proofreading_metrics`.
        originals: As in :func:`proofreading_metrics`.
        input_ids: Ids after the edition, ``(T,)``.
        editable: As in :func:`proofreading_metrics`.
    """
    edited = np.asarray(edited, dtype=bool)
    _, word = np.unique(np.asarray(input_ids), return_inverse=True)
    rates = np.bincount(word, edited) / np.bincount(word)
    counts = -np.sort(-np.unique(np.asarray(originals), return_counts=True)[1])
    corrections = {f'correction_top{k}': 100.0 * float(counts[:k].sum()) / float(counts.sum()) for k in CORRECT_AT}
    return dict(proofreading_metrics(edited, originals, rates[word], editable=editable), **corrections)


def _editable(editable, edited: np.ndarray) -> np.ndarray:
    editable = np.asarray(editable, dtype=bool)
    if editable.shape != edited.shape:
        raise ValueError(f'editable: shape {editable.shape}, must be {edited.shape}, one a token')
    if (edited & ~editable).any():
        raise ValueError(f'editable: {np.count_nonzero(edited & ~editable)} tokens were edited that could not be')
    return editable


def _correction(originals: np.ndarray, candidates: np.ndarray) -> dict[str, float]:
    most = max(CORRECT_AT)
    if candidates.ndim != 2 or len(candidates) != len(originals) or candidates.shape[1] < most:
        raise ValueError(f'candidates: shape {candidates.shape}, must be ({len(originals)}, {most} or more)')
    hits = candidates == originals[:, None]
    return {f'correction_top{k}': 100.0 * float(hits[:, :k].any(axis=1).mean()) for k in CORRECT_AT}
