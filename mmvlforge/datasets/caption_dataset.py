"""Image-text pairs to train on."""

import logging
from collections.abc import Iterator

from mmengine.logging import print_log

from mmvlforge.annotations import PackedRecords, clean_caption, read_captions
from mmvlforge.datasets.caption_item import caption_item
from mmvlforge.datasets.seeded_dataset import SeededDataset
from mmvlforge.registry import DATASETS


@DATASETS.register_module()
class CaptionDataset(SeededDataset):
    """Training pairs: one item for each caption of each picture.

    Captions without a word in them, which web sets have, and pictures without a caption are left out, and the log says
    how many; with ``skip_bad_pictures`` also records with characters that are no text, or with a box that is no pixels.
    A pair costs its text and some 30 bytes of memory, shared by all workers.

    Args:
        ann_file: Annotation file, relative to ``data_root``.
        reader: Its format: ``type``, a key of ``mmvlforge.annotations.READERS``, and the arguments of that reader.
        **kwargs: As :class:`SeededDataset` and :class:`mmengine.dataset.BaseDataset`: ``skip_bad_pictures``,
            ``data_root``, ``data_prefix=dict(img_path=...)``, ``pipeline``, ``indices`` (a number of pairs, from the
            first on, or the pairs wanted), ...

    Raises:
        ValueError: A record breaks the format (file, record number, field), or a setting is wrong.
    """

    def __init__(self, ann_file: str, reader: dict, **kwargs) -> None:
        self.reader = reader
        super().__init__(ann_file, serialize_data=False, **kwargs)

    def load_data_list(self) -> PackedRecords:
        """Read the annotation file."""
        pairs = PackedRecords(self._pairs())
        if not pairs:
            raise ValueError(f'{self.ann_file} holds no pair for reader {dict(self.reader)}')
        return pairs

    def _pairs(self) -> Iterator[tuple]:
        empty = alone = 0
        broken: list[str] | None = [] if self.skip_bad_pictures else None
        for record in read_captions(self.ann_file, broken=broken, **self.reader):
            if len(record.images) != 1:
                raise ValueError(
                    f'{self.ann_file}, record {record.row}: {len(record.images)} pictures, a training pair has one'
                )
            alone += not record.captions
            for caption in record.captions:
                if clean_caption(caption, 1):
                    yield record.row, record.images[0], caption, record.box
                else:
                    empty += 1
        if broken:
            message = f'{self.ann_file}: skipped {len(broken)} unusable records, the first is {broken[0]}'
            print_log(message, logger='current', level=logging.WARNING)
        for count, what in ((empty, 'captions without a word'), (alone, 'pictures without a caption')):
            if count:
                message = f'{self.ann_file}: left out {count} {what}'
                print_log(message, logger='current', level=logging.WARNING)

    def get_data_info(self, idx: int) -> dict:
        """Pair ``idx``, before the pipeline."""
        if not self._fully_initialized:
            self.full_init()
        row, image, caption, box = self.data_list[idx]
        return caption_item(idx, row, [image], [caption], box, self.data_prefix.get('img_path', ''))
