"""Real and forged records of one photo in one batch."""

import math
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler

from mmvlforge.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class PairSampler(Sampler):
    """Shuffle records two by two: a real one of a photo, then a forged one of the same photo.

    In a batch of even size what the two share cancels out, and what is forged is left: so "Detecting Deepfakes with
    Self-Blended Images" (Shiohara and Yamasaki, CVPR 2022, Sec. 4.1) makes up its batches. Records that are left over
    (a photo has more of one sort) go two by two among themselves. Which records go together changes with each epoch.

    Each process takes every so many-th pair; pairs from the beginning make up their number. So they do for the last
    record of an odd number.

    Args:
        dataset: A DGM4Dataset whose records have a ``photo``, as those of ``mmvlforge forge photos``, or several in a
            ConcatDataset.
        seed: Seed of the order; None for one that the processes agree on.

    Raises:
        ValueError: A record has no ``photo``.
    """

    def __init__(self, dataset: Dataset, seed: int | None = None) -> None:
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0
        self.photos: dict[tuple[int, str], tuple[list[int], list[int]]] = {}
        records: Any = dataset
        ends = getattr(records, 'cumulative_sizes', [])  # two sets may have photos of one name
        for index in range(len(records)):
            info = records.get_data_info(index)
            if 'photo' not in info:
                raise ValueError(
                    f'PairSampler: record {info["index"]} ({info["img_path"]}) has no "photo"; sets that "mmvlforge '
                    'forge photos" makes have, for others take DefaultSampler'
                )
            is_forged = bool(info['image_type'] or info['text_type'])
            photo = bisect_right(ends, index), info['photo']
            self.photos.setdefault(photo, ([], []))[is_forged].append(index)
        pairs = math.ceil(len(records) / 2)
        self.pairs_of_rank = math.ceil(pairs / self.world_size)

    def __iter__(self) -> Iterator[int]:
        """Indices of this process in this epoch."""
        draw = torch.Generator().manual_seed(self.seed + self.epoch)
        pairs, left = [], []
        for real, forged in self.photos.values():
            real, forged = (_shuffled(of, draw) for of in (real, forged))
            count = min(len(real), len(forged))
            pairs += [*zip(real, forged)]
            left += real[count:] + forged[count:]
        left = _shuffled(left, draw)
        pairs += zip(left[::2], left[1::2] + left[:1])
        pairs = _shuffled(pairs, draw)
        for place in range(self.pairs_of_rank):
            yield from pairs[(place * self.world_size + self.rank) % len(pairs)]

    def __len__(self) -> int:
        """Records of this process in an epoch."""
        return 2 * self.pairs_of_rank

    def set_epoch(self, epoch: int) -> None:
        """Take another order; as of MMEngine's samplers."""
        self.epoch = epoch


def _shuffled(items: list, draw: torch.Generator) -> list:
    return [items[place] for place in torch.randperm(len(items), generator=draw)]
