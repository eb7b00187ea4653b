"""SugarCrepe and ARO: a true caption against false ones."""

import logging
from collections import Counter
from collections.abc import Sequence

from mmengine.logging import print_log

from mmvlforge.evaluation.metrics.base_feature_metric import BaseFeatureMetric, same_number
from mmvlforge.evaluation.retrieval import PAIR_MEANS, pairwise_metrics
from mmvlforge.registry import METRICS

__all__ = ['PairwiseCaptionMetric']


@METRICS.register_module()
class PairwiseCaptionMetric(BaseFeatureMetric):
    """Share of samples whose true caption scores higher than each false one, by ``category``, and means over those.

    A sample is one image and its captions, the true one first; alone, it counts as won, and the log says how many do.
    The maths is :func:`mmvlforge.evaluation.retrieval.pairwise_metrics`.

    Args:
        means: ``'prefix'`` for SugarCrepe's ``replace``, ``swap`` and ``add``, ``'macro'`` for ARO's mean over
            relations or attributes. Defaults to ``'prefix'``.
        exclude: Categories that do not count. Published figures of ARO leave out symmetric relations ('next to'), whose
            false caption is as true as the other.
        min_samples: Categories with fewer samples do not count; published figures of ARO's attributes have 25.
        num_captions: Captions of every sample; None for any number.
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    extras = ('category',)

    def __init__(
        self,
        means: str = 'prefix',
        exclude: Sequence[str] = (),
        min_samples: int = 1,
        num_captions: int | None = 2,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if means not in PAIR_MEANS:
            raise ValueError(f'PairwiseCaptionMetric: means {means!r} is unknown; choose one of {PAIR_MEANS}')
        self.means = means
        self.exclude = exclude
        self.min_samples = min_samples
        self.num_captions = num_captions

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of the whole set."""
        indices, images, captions, categories = self.unique_columns(results)
        pictures = same_number(images, indices, 1, 'images')[:, 0]
        if self.num_captions is not None:
            same_number(captions, indices, self.num_captions, 'captions')
        unknown = sorted(set(self.exclude) - set(categories))
        if unknown:
            print_log(f'exclude: no sample is of category {unknown}', logger='current', level=logging.WARNING)
        counts = Counter(categories)
        kept = [
            row
            for row, category in enumerate(categories)
            if category not in self.exclude and counts[category] >= self.min_samples
        ]
        if not kept:
            raise ValueError(
                f'PairwiseCaptionMetric: none of the {len(categories)} samples is left: every category is in exclude '
                f'or has fewer than min_samples={self.min_samples} samples'
            )
        alone = [indices[row] for row in kept if len(captions[row]) == 1]
        if alone:
            what = f'{len(alone)} of {len(kept)} samples have no false caption and count as won'
            print_log(f'{what}, the first is sample {alone[0]}', logger='current', level=logging.WARNING)
        left = [categories[row] for row in kept]
        return pairwise_metrics(pictures[kept], [captions[row] for row in kept], left, self.means)
