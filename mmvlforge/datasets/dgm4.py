"""DGM⁴ and the sets that share its annotation format."""

import logging
import os.path as osp
from collections import Counter
from collections.abc import Sequence

from mmengine.logging import print_log

from mmvlforge.annotations.annotation_file import read_annotations
from mmvlforge.annotations.dgm4_record import (
    IMAGE_TYPES,
    TEXT_TYPES,
    ClassMap,
    RecordFormat,
    dgm4_class_map,
    record_problems,
)
from mmvlforge.datasets.seeded_dataset import SeededDataset
from mmvlforge.datasets.worker_state import PictureCounts
from mmvlforge.registry import DATASETS


@DATASETS.register_module()
class DGM4Dataset(SeededDataset):
    """Image-text pairs with manipulation labels, in the annotation format of DGM⁴ (Shao et al., CVPR 2023).

    Class names, the name of the real class, the presence of boxes and of word positions are settings, so that SAMM,
    DGM⁴+ or MDSM need a config and no code. Records live serialised in one array shared by all workers
    (``serialize_data``), so memory does not grow with their number.

    Args:
        ann_file: JSON array of records, or one record a line; relative to ``data_root``.
        class_map: ``fake_cls`` → ``(image type, text type)``. Defaults to the 9 classes of DGM⁴.
        real_class: Name of the untouched class in the default ``class_map``; DGM⁴+ calls it ``'origin'``.
        image_types: Names of the image classes; the first is the real one. Its order numbers the classes.
        text_types: Likewise for the text.
        box_field: Field with the manipulated region, xyxy pixels of the stored image or ``[]``; None if the set has
            no boxes.
        word_field: Field with the 0-based manipulated positions in ``text.split()``; None if the set has none.
        check_agreement: Whether a box must be there exactly for image types, and positions exactly for text types.
        on_bad_record: ``'error'`` stops at the first unusable record and says why; ``'skip'`` leaves them out and
            logs how many of which kind. Only training data may skip: an evaluation set is whole or wrong.
        box_tolerance: Pixels that a box may reach beyond its picture: the model is taught the part inside, and
            ``cut_boxes`` counts. One that reaches farther is a bad record, or a bad picture where only its size tells.
        **kwargs: As :class:`mmengine.dataset.BaseDataset`: ``data_root``, ``data_prefix=dict(img_path=...)``,
            ``pipeline`` (a ``WordTokenizer`` in it), ``test_mode``, ``indices``, ...

    Raises:
        ValueError: A record breaks a convention (file, record number, field, what would be right), or a setting does.
    """

    def __init__(
        self,
        ann_file: str,
        class_map: ClassMap | None = None,
        real_class: str = 'orig',
        image_types: Sequence[str] = IMAGE_TYPES,
        text_types: Sequence[str] = TEXT_TYPES,
        box_field: str | None = 'fake_image_box',
        word_field: str | None = 'fake_text_pos',
        check_agreement: bool = True,
        on_bad_record: str = 'error',
        box_tolerance: float = 1,
        **kwargs,
    ) -> None:
        if 'tokenizer' in kwargs:
            raise ValueError(
                'tokenizer is no setting of DGM4Dataset, it belongs in the pipeline: '
                f"pipeline=[{kwargs['tokenizer']}, dict(type='LoadImage'), ..., dict(type='PackManipulationInputs')]"
            )
        if not box_tolerance >= 0:
            raise ValueError(f'box_tolerance must be at least 0 pixels, got {box_tolerance}')
        if on_bad_record not in ('error', 'skip'):
            raise ValueError(f"on_bad_record must be 'error' or 'skip', got {on_bad_record!r}")
        self.format = RecordFormat(
            class_map or dgm4_class_map(real_class),
            box_field,
            word_field,
            check_agreement,
            tuple(image_types),
            tuple(text_types),
            box_tolerance=box_tolerance,
        )
        self.cut_boxes = PictureCounts('box cut at the edge of its picture, number')
        for name, (image_type, text_type) in self.format.class_map.items():
            if image_type not in image_types or text_type not in text_types:
                raise ValueError(
                    f'class_map[{name!r}] = {(image_type, text_type)} must be one of image_types '
                    f'{tuple(image_types)} and one of text_types {tuple(text_types)}'
                )
        self.image_types, self.text_types = list(image_types), list(text_types)
        self.on_bad_record = on_bad_record
        metainfo = dict(image_types=tuple(image_types), text_types=tuple(text_types))
        super().__init__(ann_file, skip_bad_pictures=on_bad_record == 'skip', metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read, check and translate the annotation file."""
        data_list: list[dict] = []
        dropped: Counter[str] = Counter()
        broken: dict[int, str] | None = {} if self.on_bad_record == 'skip' else None
        for index, record in enumerate(read_annotations(self.ann_file, broken)):
            problem = next(record_problems(record, self.format), None)
            if problem is None:
                data_list.append(self._parse(index, record))
            elif self.on_bad_record == 'skip':
                dropped[problem.kind] += 1
            else:
                raise ValueError(
                    f"{self.ann_file}, record {index}, field '{problem.field}': {problem.message}. "
                    "'mmvlforge data check' lists all bad records; on_bad_record='skip' leaves them out."
                )
        if dropped:
            message = f'{self.ann_file}: skipped {sum(dropped.values())} unusable records: {dict(dropped)}'
            print_log(message, logger='current', level=logging.WARNING)
        if not data_list:
            raise ValueError(f'{self.ann_file} holds no usable record')
        return data_list

    def get_data_info(self, idx: int) -> dict:
        """The record of an item, and what its transforms must know of the set."""
        return dict(super().get_data_info(idx), box_tolerance=self.format.box_tolerance)

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on item ``idx`` and count whether its box was cut."""
        item = super().prepare_data(idx)
        sample = None if item is None else item.get('data_samples')
        if sample is not None:
            where = f'{self.ann_file}, record {sample.index}'
            cut = getattr(sample, 'box_cut', False)
            self.cut_boxes.add(f'{where}: {sample.gt_box.tolist()} of {sample.img_path}' if cut else '')
        return item

    def _parse(self, index: int, record: dict) -> dict:
        image_type, text_type = self.format.class_map[record['fake_cls']]
        named = dict(photo=record['photo']) if 'photo' in record else {}  # see PairSampler
        return dict(
            **named,
            index=index,
            img_path=osp.join(self.data_prefix.get('img_path', ''), record['image']),
            text=record['text'],
            fake_cls=record['fake_cls'],
            image_type=self.image_types.index(image_type),
            text_type=self.text_types.index(text_type),
            # None, unlike an empty list, says that nobody knows.
            box=list(record[self.format.box_field]) if self.format.box_field else None,
            fake_words=list(record[self.format.word_field]) if self.format.word_field else None,
        )
