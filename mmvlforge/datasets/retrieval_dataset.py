"""Groups of pictures and captions to evaluate on."""

from mmvlforge.annotations import PackedRecords, clean_caption, read_captions
from mmvlforge.datasets.caption_item import caption_item
from mmvlforge.datasets.seeded_dataset import SeededDataset
from mmvlforge.registry import DATASETS


@DATASETS.register_module()
class RetrievalDataset(SeededDataset):
    """Evaluation groups: an image with all its captions, two images and two captions, a video and its sentence, ...

    Nothing is ever left out: an unusable picture or a caption without a word is an error. A picture without any caption
    can be encoded, but recall does not score it.

    Args:
        ann_file: Annotation file (SugarCrepe: folder), relative to ``data_root``.
        reader: Its format: ``type``, a key of ``mmvlforge.annotations.READERS``, and the arguments of that reader.
        **kwargs: As :class:`mmengine.dataset.BaseDataset`: ``data_root``, ``data_prefix=dict(img_path=...)``,
            ``pipeline``, ``indices``, ...

    Raises:
        ValueError: A record breaks the format, or holds a caption without a word (file, record number).
    """

    def __init__(self, ann_file: str, reader: dict, **kwargs) -> None:
        self.reader = reader
        super().__init__(ann_file, serialize_data=False, **{**kwargs, 'test_mode': True})

    def load_data_list(self) -> PackedRecords:
        """Read and check the annotation file."""
        groups = PackedRecords(map(self._check, read_captions(self.ann_file, **self.reader)))
        if not groups:
            raise ValueError(f'{self.ann_file} holds no record for reader {dict(self.reader)}')
        return groups

    def _check(self, record) -> tuple:
        for caption in record.captions:
            if not clean_caption(caption, 1):
                raise ValueError(f'{self.ann_file}, record {record.row}: no word in the caption {caption!r}')
        return tuple(record)

    def get_data_info(self, idx: int) -> dict:
        """Group ``idx``, before the pipeline."""
        if not self._fully_initialized:
            self.full_init()
        row, images, captions, box, extras = self.data_list[idx]
        return caption_item(idx, row, images, captions, box, self.data_prefix.get('img_path', ''), **extras)
