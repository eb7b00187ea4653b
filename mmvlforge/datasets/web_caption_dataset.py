"""Image-text pairs from tar shards."""

import random
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice

import webdataset
from braceexpand import braceexpand
from mmcv.transforms import Compose
from mmengine.dist import get_rank, get_world_size
from torch.utils.data import IterableDataset, get_worker_info

from mmvlforge.annotations import clean_caption
from mmvlforge.annotations.values import text_fault
from mmvlforge.datasets.caption_item import caption_item
from mmvlforge.datasets.shards import ShardSample, read_shard
from mmvlforge.datasets.transforms.loading import UnusableImageError
from mmvlforge.datasets.worker_state import EpochSeed, PictureCounts
from mmvlforge.registry import DATASETS, TRANSFORMS

MAX_IN_A_ROW = 1000


@DATASETS.register_module()
class WebCaptionDataset(IterableDataset):
    """Training pairs from webdataset shards, such as img2dataset writes them.

    All workers of all ranks share the shards out among themselves, in an order that seed and epoch settle; each reads
    its own, mixed in a buffer, and starts over when they are used up. So every rank takes equally many steps, whatever
    the shards hold. The samples of an epoch depend on seed, epoch, number of ranks and number of workers alone:

    * with ``EpochBasedTrainLoop`` a run resumed after an epoch goes on with the next one at once. An epoch is as long
      as ``epoch_size`` says, so a checkpoint can come as often as needed;
    * with ``IterBasedTrainLoop`` (``epoch_size=None``) MMEngine reads the samples of all former steps again.

    A sample without a picture, with one that cannot be decoded or without words is left out and counted, and so is a
    damaged header in a shard, at which a sample lost a file. A shard that is cut off stops: nobody can count what is
    missing.

    Args:
        shards: Paths or urls of the tars, in braces (``'00000..01099'`` between ``{}``), or a list of such.
        pipeline: Transforms; the picture's bytes are in ``img_bytes``.
        epoch_size: Samples of an epoch over all ranks; None never ends. A multiple of ranks, workers and batch size
            fills every batch.
        shuffle_buffer: Samples (still compressed) of a worker that are mixed. Defaults to 1000.
        image_keys: Endings of the picture's file, the first that is there counts.
        caption_key: Ending of the caption's file.
        lazy_init: Unused; nothing is read before the first sample.

    Raises:
        ValueError: Fewer shards than workers of all ranks, a broken shard, or shards without a usable sample.
    """

    metainfo: dict[str, str] = {}

    def __init__(
        self,
        shards,
        pipeline: Sequence[dict],
        epoch_size: int | None = None,
        shuffle_buffer: int = 1000,
        image_keys: Sequence[str] = ('jpg', 'jpeg', 'png', 'webp'),
        caption_key: str = 'txt',
        lazy_init: bool = False,
    ) -> None:
        patterns = [shards] if isinstance(shards, str) else shards
        self.ann_file = ', '.join(patterns)
        self.urls = [url for pattern in patterns for url in braceexpand(pattern)]
        self.pipeline = Compose([TRANSFORMS.build(t) for t in pipeline])
        self.epoch_size = epoch_size
        self.shuffle_buffer = shuffle_buffer
        self.image_keys, self.caption_key = image_keys, caption_key
        # Of the process that makes the loader: a worker may know nothing of the others.
        self.rank, self.world_size = get_rank(), get_world_size()
        self.pictures = PictureCounts()
        self.epoch_seed = EpochSeed()

    def seed_epoch(self, seed: int, epoch: int) -> None:
        """Announce the epoch (0-based) that is about to be read."""
        self.epoch_seed.announce(seed, epoch)

    def __len__(self) -> int:
        """Samples of an epoch on this rank."""
        # MMEngine's hooks ask for the length of an endless loader too.
        return sys.maxsize if self.epoch_size is None else self.epoch_size // self.world_size

    def __iter__(self) -> Iterator[dict]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        samples = self._usable(self.rank * workers + worker, self.world_size * workers)
        if self.epoch_size is None:
            return samples
        return islice(samples, len(self) // workers + (worker < len(self) % workers))

    def _usable(self, part: int, parts: int) -> Iterator[dict]:
        """Endless transformed samples of one worker out of all."""
        in_a_row = 0
        for number, sample in enumerate(self._raw(part, parts)):
            self.epoch_seed.seed_item(part, number)
            try:
                item = self.pipeline(self._parse(number, sample))
            except UnusableImageError as error:
                problem = f'{sample.place}: {error}'
                self.pictures.add(problem)
                in_a_row += 1
                if in_a_row == MAX_IN_A_ROW:
                    raise ValueError(f'{in_a_row} unusable samples in a row, the last is {problem}') from error
                continue
            in_a_row = 0
            self.pictures.add()
            yield item

    def _parse(self, number: int, sample: ShardSample) -> dict:
        if sample.problem:
            raise UnusableImageError(sample.problem)
        key = next((key for key in self.image_keys if key in sample.files), None)
        try:
            caption = sample.files.get(self.caption_key, b'').decode()
        except UnicodeDecodeError as error:
            raise UnusableImageError(f'{self.caption_key} is not UTF-8 text ({error})') from error
        if key is None or not clean_caption(caption, 1):
            raise UnusableImageError(f'has {sorted(sample.files)}, must have a picture and a caption with a word in it')
        if fault := text_fault(caption):
            raise UnusableImageError(f'caption: {fault}')
        item = caption_item(number, sample.key, [f'{sample.place}.{key}'], [caption], None)
        return dict(item, img_bytes=[sample.files[key]])

    def _raw(self, part: int, parts: int) -> Iterator[ShardSample]:
        """Endless undecoded samples of one worker out of all, mixed in turns of its shards."""
        if parts > len(self.urls):
            raise ValueError(
                f'{self.ann_file}: {len(self.urls)} shards cannot be shared out among {parts} workers of all ranks'
            )
        seed, epoch = self.epoch_seed.get()
        rng = random.Random(f'{seed} {epoch} of {part}')
        mix = webdataset.shuffle(self.shuffle_buffer, initial=self.shuffle_buffer, rng=rng)
        for turn in count():
            urls = list(self.urls)
            random.Random(f'{seed} {epoch} {turn}').shuffle(urls)
            samples = mix(chain.from_iterable(map(read_shard, urls[part::parts])))
            first = next(samples, None)
            if first is None:
                raise ValueError(f'no sample in {", ".join(urls[part::parts])}')
            yield from chain([first], samples)
