"""Is a picture with its caption faked, how, where in the picture, and which words?"""

from functools import cached_property

import numpy as np

from mmvlforge.annotations import CAPTION_CLEANERS
from mmvlforge.apis.inferencer import ForgeInferencer, Item
from mmvlforge.apis.inputs import Picture, Query
from mmvlforge.datasets.transforms import LoadImage
from mmvlforge.evaluation.manipulation import clip_boxes
from mmvlforge.evaluation.samples import sample_size
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import ManipulationVisualizer, blank_picture

__all__ = ['ManipulationInferencer']


class ManipulationInferencer(ForgeInferencer):
    """Ask a trained manipulation detector about pictures with captions.

    A score is what the model learnt from its training set; on pictures and captions of another kind it can be wrong
    with confidence. A picture or a caption alone is read where the model can do with it: an empty caption, or a plain
    grey picture, stands for the other, and what then has no meaning is None and named in ``warnings``.

    Where the config says ``caption_cleaning``, a key of ``mmvlforge.annotations.CAPTION_CLEANERS``, the model reads the
    words of a caption as the training set has such words; what that leaves out is named in ``warnings``.

    A result is a dict of the form ``mmvlforge.check/1``: ``verdict`` (``'real'``, ``'fake'``, or ``'inconclusive'``
    where picture or caption are unlike what an exported model learnt from), ``fake_score`` (P(fake)), ``types``
    (probability of each manipulation), ``box`` (xyxy pixels of the picture as a person sees it, or None), ``words``
    with ``fake_score`` and ``marked``, ``unread_words``, ``warnings``, ``model``. ``threshold``, ``inconclusive_band``,
    ``stability`` and ``provenance`` are None until a model carries a calibration and the checks exist.

    Args:
        model: See :class:`mmvlforge.apis.inferencer.ForgeInferencer`, as all others.
    """

    schema = 'mmvlforge.check/1'
    fields = (
        *('verdict', 'fake_score', 'calibrated', 'threshold', 'inconclusive_band', 'types', 'box', 'words'),
        *('unread_words', 'stability', 'provenance', 'warnings', 'model'),
    )

    def check_kind(self) -> None:
        """Raise ValueError if the config is none of manipulation detection."""
        meta = self.dataset.metainfo
        if 'image_types' not in meta or 'text_types' not in meta:
            raise ValueError(
                f'{self.trained.config}: its {type(self.dataset).__name__} names no image_types and text_types, '
                'as a set of manipulation detection does'
            )
        self.image_types, self.text_types = list(meta['image_types'])[1:], list(meta['text_types'])[1:]
        cleaning = self.trained.cfg.get('caption_cleaning')
        if cleaning is not None and cleaning not in CAPTION_CLEANERS:
            raise ValueError(
                f'{self.trained.config}: caption_cleaning is {cleaning!r}, must be None or one of '
                f'{sorted(CAPTION_CLEANERS)}'
            )
        self.clean_word = CAPTION_CLEANERS[cleaning] if cleaning else lambda word: [word]
        transforms = self.dataset.pipeline.transforms
        self.reads_pictures = any(isinstance(transform, LoadImage) for transform in transforms)

    def prepare(self, query: Query) -> Item:
        """Make a query ready; see the base class."""
        if query.image is None and not self.reads_pictures:
            picture = shown = None
        elif query.image is None:
            picture, shown = None, Picture(np.full((64, 64, 3), 128, np.uint8))
        else:
            picture = shown = Picture(query.image, self.max_pixels)
        unknown = dict(fake_cls='', image_type=0, text_type=0, box=None, fake_words=None)
        words = self.split(query.caption or '')
        pieces = [self.clean_word(word) for word in words]
        owners = [*(number for number, parts in enumerate(pieces) for _ in parts), len(words)]
        text = ' '.join(piece for parts in pieces for piece in parts)
        fields = dict(index=0, img_path=query.image_name or '', text=text, **unknown)
        left_out = (c for word, parts in zip(words, pieces) for c in word if c not in ''.join(parts))
        item = self.pack(query, fields, shown, owners)
        return item._replace(picture=picture, left_out=tuple(dict.fromkeys(left_out)))

    def result(self, item: Item, sample: VLDataSample) -> dict:
        """The answer in plain values."""
        query = item.query
        names = [*self.image_types, *self.text_types]
        probabilities = dict(zip(names, sample.pred_type_scores.float().sigmoid().tolist()))
        sees = query.image is not None and self.reads_pictures
        reads = any(word not in item.unknown for word in item.word_ids)
        not_judged = [*([] if sees else [*self.image_types, 'place']), *([] if reads else [*self.text_types, 'words'])]
        whole = reads and (sees or not self.reads_pictures)
        warnings = ['not calibrated: scores are raw']
        if not_judged:
            no_picture = 'no picture' if self.reads_pictures else 'a model that reads no pictures'
            no_caption = 'no caption' if query.caption is None else 'no word of the caption that the model knows'
            why = [*([] if reads else [no_caption]), *([] if sees else [no_picture])]
            what = [*([] if whole else ['verdict']), *(name.replace('_', ' ') for name in not_judged)]
            warnings.append(f'{" and ".join(why)}: not judged are {", ".join(what)}')
        return dict(
            self.head(query, item.picture),
            verdict=self._verdict(item, sample) if whole else None,
            fake_score=sample.pred_fake_score if whole else None,
            calibrated=False,
            threshold=None,
            inconclusive_band=None,
            types={name: None if name in not_judged else value for name, value in probabilities.items()},
            box=self._box(sample) if sees else None,
            words=self._words(item, sample),
            unread_words=item.unread_words,
            stability=None,
            provenance=None,
            warnings=[*warnings, *self.input_warnings(item)],
            model=self.trained.describe(),
        )

    def _verdict(self, item: Item, sample: VLDataSample) -> str:
        if item.unfamiliar:
            return 'inconclusive'
        return 'fake' if sample.pred_fake_score > 0.5 else 'real'

    @staticmethod
    def _box(sample: VLDataSample) -> list[float] | None:
        """The part inside the picture."""
        box = sample.get('pred_box')
        if box is None:
            return None
        (inside,) = clip_boxes([box.tolist()], [sample_size(sample)])
        return [round(value, 1) for value in inside.tolist()]

    @staticmethod
    def _words(item: Item, sample: VLDataSample) -> list[dict]:
        """Each word with the largest score of its tokens; None for one that was not read, or in part only."""
        scores: dict[int, float] = {}
        marked = set()
        for word, score, fake in zip(item.word_ids, sample.pred_token_scores.tolist(), sample.pred_tokens.tolist()):
            if word != item.part_read:
                scores[word] = max(score, scores.get(word, 0.0))
                if fake == 1:
                    marked.add(word)
        return [dict(word=word, fake_score=scores.get(i), marked=i in marked) for i, word in enumerate(item.words)]

    def draw(self, item: Item, sample: VLDataSample) -> np.ndarray:
        """The picture with the predicted box, the caption with the words held for manipulated, and the scores."""
        image = item.picture.rgb() if item.picture else blank_picture()
        return self._drawer.draw(image, sample, draw_gt=False)

    @cached_property
    def _drawer(self) -> ManipulationVisualizer:
        """Made when the first answer is drawn: it opens a figure of matplotlib."""
        visualizer = ManipulationVisualizer(name='check')
        visualizer.dataset_meta = self.dataset.metainfo
        return visualizer
