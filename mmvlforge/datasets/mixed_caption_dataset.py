"""Several caption sets as one."""

import math
from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from mmvlforge.datasets.worker_state import EpochSeed
from mmvlforge.registry import DATASETS


@DATASETS.register_module()
class MixedCaptionDataset(Dataset):
    """Training pairs of several sources, each with its share of an epoch.

    By default an epoch is every pair once: sources count by their size. With ``weights`` or ``size`` a source gives
    more or fewer pairs than it has; over the epochs, each of its pairs is then taken equally often, in an order spread
    over the whole file. What an item is depends on seed, epoch and index alone.

    Args:
        datasets: Configs of the sources (``CaptionDataset``), without ``pipeline``.
        pipeline: Transforms, the same for all sources.
        weights: Share of each source, in any unit. Defaults to the numbers of pairs.
        size: Pairs of an epoch. Defaults to the number of pairs of all sources.
        lazy_init: Read the annotations when they are first needed.
    """

    def __init__(
        self,
        datasets: Sequence[dict],
        pipeline: Sequence[dict] = (),
        weights: Sequence[float] | None = None,
        size: int | None = None,
        lazy_init: bool = False,
    ) -> None:
        if weights is not None and (len(weights) != len(datasets) or min(weights) < 0 or not sum(weights)):
            raise ValueError(f'weights {weights} must be {len(datasets)} numbers >= 0, one for each source, not all 0')
        self.datasets = [DATASETS.build(dict(d, pipeline=pipeline, lazy_init=True)) for d in datasets]
        self.pipeline = self.datasets[0].pipeline
        self.metainfo: dict = {}
        self._weights, self._size = weights, size
        self.epoch_seed = EpochSeed()
        self._starts = np.zeros(0, dtype=int)  # of the sources in an epoch, and its end; empty before the reading
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Read all annotations and settle the shares."""
        if len(self._starts):
            return
        for dataset in self.datasets:
            dataset.full_init()
        sizes = [len(dataset) for dataset in self.datasets]
        ends = np.cumsum(self._weights or sizes, dtype=float)
        ends = np.rint(ends / ends[-1] * (self._size or sum(sizes))).astype(int)
        self._starts = np.concatenate([[0], ends])

    def seed_epoch(self, seed: int, epoch: int) -> None:
        """Announce the epoch (0-based) that is about to be read."""
        self.epoch_seed.announce(seed, epoch)

    def locate(self, idx: int) -> tuple[int, int]:
        """Source and number of the pair that item ``idx`` of this epoch is."""
        self.full_init()
        source = int(np.searchsorted(self._starts, idx, side='right')) - 1
        start, end = self._starts[source : source + 2].tolist()
        num = len(self.datasets[source])
        visit = self.epoch_seed.get()[1] * (end - start) + idx - start
        # Steps of the golden ratio reach every pair once before any twice, evenly at every moment.
        step = next(s for s in range(round(0.618 * num), num + 2) if math.gcd(s, num) == 1)
        return source, visit * step % num

    def __len__(self) -> int:
        self.full_init()
        return int(self._starts[-1])

    def __getitem__(self, idx: int) -> dict:
        idx = range(len(self))[idx]
        source, number = self.locate(idx)
        self.epoch_seed.seed_item(idx)  # and not by the source's number, which can come twice in an epoch
        return self.datasets[source][number]
