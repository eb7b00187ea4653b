"""Data sets whose augmentation depends on nothing but seed, epoch and index."""

from mmengine.dataset import BaseDataset

from mmvlforge.annotations.values import one_line
from mmvlforge.datasets.transforms.loading import UnusableImageError
from mmvlforge.datasets.worker_state import EpochSeed, PictureCounts


class SeededDataset(BaseDataset):
    """A data set that seeds ``random`` and ``numpy.random`` anew before each item, and knows of unusable pictures.

    A resumed run then sees the same augmented samples as an uninterrupted one, whatever the number of workers and
    also when workers outlive an epoch (``persistent_workers``). Until :meth:`seed_epoch` is called (by
    ``EpochSeedHook``) nothing is seeded.

    Args:
        ann_file: Annotation file; error messages name it.
        skip_bad_pictures: Replace an unusable picture's item by another one and count it in ``pictures``, instead of
            stopping. Only training data may skip: an evaluation set is whole or wrong.
        **kwargs: As :class:`mmengine.dataset.BaseDataset`.
    """

    def __init__(self, ann_file: str = '', skip_bad_pictures: bool = False, **kwargs) -> None:
        if skip_bad_pictures and kwargs.get('test_mode', False):
            raise ValueError('skipping pictures would change the evaluation set; it is for training data only')
        self.skip_bad_pictures = skip_bad_pictures
        self.pictures = PictureCounts()
        self.epoch_seed = EpochSeed()
        super().__init__(ann_file=ann_file, **kwargs)

    def seed_epoch(self, seed: int, epoch: int) -> None:
        """Announce the epoch (0-based) that is about to be read."""
        self.epoch_seed.announce(seed, epoch)

    def __getitem__(self, idx: int) -> dict:
        # Not in prepare_data: unusable items would lead to each other in a circle.
        self.epoch_seed.seed_item(idx)
        return super().__getitem__(idx)

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on item ``idx``; None, which fetches another, to skip it."""
        try:
            item = super().prepare_data(idx)
        except UnusableImageError as error:
            info = self.get_data_info(idx)
            problem = f'{self.ann_file}, record {info.get("row", info["index"])}: picture {one_line(str(error))}'
            if not self.skip_bad_pictures:
                raise ValueError(problem) from error
            self.pictures.add(problem)
            return None
        self.pictures.add()
        return item
