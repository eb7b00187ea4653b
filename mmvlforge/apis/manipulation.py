"""Is a picture with its caption faked, how, where in the picture, and which words?"""

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from mmvlforge.annotations import CAPTION_CLEANERS
from mmvlforge.apis.inferencer import UNLIKE, ForgeInferencer, Item
from mmvlforge.apis.inputs import Picture, Query
from mmvlforge.apis.provenance import STATES, read_provenance
from mmvlforge.datasets.transforms import LoadImage
from mmvlforge.evaluation.calibration import Rate, log_odds, verdict_of
from mmvlforge.evaluation.manipulation import clip_boxes
from mmvlforge.evaluation.samples import sample_size
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import ManipulationVisualizer, blank_picture

__all__ = ['COPIES', 'ManipulationInferencer']

JPEG_QUALITY, SCALE = 75, 0.75  # of the copies by which stability is told
COPIES = dict(
    recompressed=f'recompression (JPEG quality {JPEG_QUALITY})', resized=f'resizing (to {SCALE:.0%} of each side)'
)


class ManipulationInferencer(ForgeInferencer):
    """Ask a trained manipulation detector about pictures with captions.

    A score is what the model learnt from its training set; on pictures and captions of another kind it can be wrong
    with confidence. A picture or a caption alone is read where the model can do with it: an empty caption, or a plain
    grey picture, stands for the other, and what then has no meaning is None and named in ``warnings``.

    Where the config says ``caption_cleaning``, a key of ``mmvlforge.annotations.CAPTION_CLEANERS``, the model reads the
    words of a caption as the training set has such words; what that leaves out is named in ``warnings``.

    A result is a dict of the form ``mmvlforge.check/1``: ``verdict``, ``fake_score`` (P(fake)), ``calibrated``,
    ``threshold`` and ``inconclusive_band`` (None of a model without calibration), ``types`` (probability of each
    manipulation), ``box`` (xyxy pixels of the picture as a person sees it, or None), ``words`` with ``fake_score`` and
    ``marked``, ``unread_words``, ``stability`` (P(fake) of ``recompressed`` and ``resized`` copies, see ``COPIES``),
    ``provenance`` (see :func:`mmvlforge.apis.provenance.read_provenance`), ``warnings``, ``model``.

    The verdict is ``'fake'`` above the threshold, ``'real'`` below the band, and ``'inconclusive'`` in the band, where
    a copy gets another verdict, and where picture or caption are unlike what the model learnt from. Without calibration
    0.5 stands for both. The scores of words are as the model says them.

    Args:
        model: See :class:`mmvlforge.apis.inferencer.ForgeInferencer`, as all others.
        weights: Likewise.
        stability: Judge the two copies too, in the same batch, which then holds three pictures a pair.
        provenance: Read where the picture's file says it comes from.
        **kwargs: As for the others.
    """

    schema = 'mmvlforge.check/1'
    fields = (
        *('verdict', 'fake_score', 'calibrated', 'threshold', 'inconclusive_band', 'types', 'box', 'words'),
        *('unread_words', 'stability', 'provenance', 'warnings', 'model'),
    )

    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        *args: Any,
        stability: bool = True,
        provenance: bool = True,
        **kwargs: Any,
    ) -> None:
        self.stability, self.provenance = stability, provenance
        super().__init__(model, weights, *args, **kwargs)
        learnt = self.trained.calibration
        self.calibration = learnt.fitted if learnt else None

    def check_kind(self) -> None:
        """Raise ValueError if the config is none of manipulation detection."""
        meta, name = self.dataset.metainfo, type(self.trained.model).__name__
        if not hasattr(self.trained.model, 'type_head'):
            raise ValueError(f'{self.trained.config}: a {name} is no detector of manipulations, which alone can check')
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
        copies, provenance = {}, None
        if picture is not None:
            if self.stability and self.reads_pictures and _reads(item):
                copies = {
                    name: self.pack(query, fields, copy, owners).packed for name, copy in _copies(picture).items()
                }
            if self.provenance and picture.is_file:
                provenance = read_provenance(picture.data or b'', picture.name, self.max_pixels)
        return item._replace(
            picture=picture, left_out=tuple(dict.fromkeys(left_out)), copies=copies, provenance=provenance
        )

    def forward(self, inputs: list, **kwargs) -> list:
        """Answers of the model to items, as one batch with their copies, whose scores are put beside them."""
        places = [(row, name) for row, item in enumerate(inputs) for name in item.copies]
        copies = [inputs[row]._replace(packed=inputs[row].copies[name]) for row, name in places]
        samples = super().forward([*inputs, *copies], **kwargs)
        own, others = samples[: len(inputs)], samples[len(inputs) :]
        for (row, name), sample in zip(places, others):
            own[row].copy_scores = {**own[row].get('copy_scores', {}), name: sample.pred_fake_score}
        return own

    def raw_scores(self, inputs: Any, batch_size: int = 32) -> Iterator[tuple[Any, float, list[float]]]:
        """Scores as the model says them, of pairs that it can judge.

        Args:
            inputs: As in :meth:`__call__`; what cannot be read is left out.
            batch_size: Likewise.

        Yields:
            A query's ``id``, P(fake), and the log-odds of each manipulation type.
        """
        asked, self.stability, self.provenance = (self.stability, self.provenance), False, False
        try:
            for item, sample, result in self._answers(inputs, batch_size, 'report'):
                if item is not None and result['fake_score'] is not None:
                    yield item.query.id, sample.pred_fake_score, sample.pred_type_scores.tolist()
        finally:
            self.stability, self.provenance = asked

    def result(self, item: Item, sample: VLDataSample) -> dict:
        """The answer in plain values."""
        query, fitted = item.query, self.calibration
        types = self._type_probabilities(sample)
        sees = query.image is not None and self.reads_pictures
        reads = _reads(item)
        not_judged = [*([] if sees else [*self.image_types, 'place']), *([] if reads else [*self.text_types, 'words'])]
        whole = reads and (sees or not self.reads_pictures)
        warnings = [] if fitted else ['not calibrated: scores are raw']
        raw_types = [name.replace('_', ' ') for name in types if fitted and name not in fitted.type_temperatures]
        if raw_types:
            warnings.append(f'not calibrated, for want of such pairs: {", ".join(raw_types)}')
        score, lower, threshold = self._scale(sample.pred_fake_score), 0.5, 0.5
        if fitted:
            lower, threshold = fitted.lower, fitted.threshold
        stability = {name: self._scale(value) for name, value in sample.get('copy_scores', {}).items()}
        verdict = verdict_of(score, lower, threshold)
        turned = [name for name, value in stability.items() if verdict_of(value, lower, threshold) != verdict]
        if not_judged:
            no_picture = 'no picture' if self.reads_pictures else 'a model that reads no pictures'
            no_caption = 'no caption' if query.caption is None else 'no word of the caption that the model knows'
            why = [*([] if reads else [no_caption]), *([] if sees else [no_picture])]
            what = [*([] if whole else ['verdict']), *(name.replace('_', ' ') for name in not_judged)]
            warnings.append(f'{" and ".join(why)}: not judged are {", ".join(what)}')
        if whole and verdict != 'inconclusive':
            warnings += [f'{COPIES[name]} turns the verdict: P(fake) becomes {stability[name]:.3f}' for name in turned]
        return dict(
            self.head(query, item.picture),
            verdict=None if not whole else 'inconclusive' if item.unfamiliar or turned else verdict,
            fake_score=score if whole else None,
            calibrated=fitted is not None,
            threshold=fitted and threshold,
            inconclusive_band=fitted and [lower, threshold],
            types={name: None if name in not_judged else value for name, value in types.items()},
            box=self._box(sample) if sees else None,
            words=self._words(item, sample),
            unread_words=item.unread_words,
            stability=stability if whole and stability else None,
            provenance=item.provenance,
            warnings=[*warnings, *self.input_warnings(item)],
            model=self.trained.describe(),
        )

    def _scale(self, score: float) -> float:
        """P(fake), calibrated if it can be."""
        if not math.isfinite(score):
            raise ValueError(f'the model gave {score} in place of P(fake)')
        return self.calibration.scale(score) if self.calibration else score

    def _type_probabilities(self, sample: VLDataSample) -> dict[str, float]:
        names, odds = [*self.image_types, *self.text_types], sample.pred_type_scores.float()
        if self.calibration is None:
            return dict(zip(names, odds.sigmoid().tolist()))
        return {name: self.calibration.scale_type(name, value) for name, value in zip(names, odds.tolist())}

    def meaning(self, result: dict) -> str:
        """What a result's score means in pairs of the validation set; '' where nothing can be said."""
        fitted, score = self.calibration, result.get('fake_score')
        if fitted is None or score is None or _is_strange(result):
            return ''
        found = fitted.bin_of(score)
        scored = f'scored like this, from {found.low:.1f} to {found.high:.1f}'
        if found.pairs < 10:
            return f'only {found.pairs} pairs of the validation set {scored}: too few to say how many are fake'
        fakes = f'{100 * found.fake / found.pairs:.0f} in 100 were fake'
        return f'of {found.pairs} pairs of the validation set that {scored}, {fakes}'

    def explain(self, result: dict) -> list[str]:
        """What stands behind a verdict, as sentences for people: the score, the limits, the copies, the provenance."""
        fitted, verdict = self.calibration, result['verdict']
        told = [meaning] if (meaning := self.meaning(result)) else []
        if verdict and _is_strange(result):
            told.append('the score says little: picture or caption are of a kind that the model does not know')
        elif fitted and verdict and fitted.lower <= result['fake_score'] <= fitted.threshold:
            told.append(f'between {fitted.lower:.2f} and {fitted.threshold:.2f} this model is too often wrong to say')
        elif fitted and verdict == 'fake':
            told.append(f'above {fitted.threshold:.2f}, as {_in_100(fitted.false_alarms)} real pairs of that set are')
        elif fitted and verdict == 'real':
            told.append(f'below {fitted.lower:.2f}, as {_in_100(fitted.misses)} fakes of that set are')
        if result['stability']:
            told += [f'after {COPIES[name]} P(fake) = {score:.3f}' for name, score in result['stability'].items()]
        if result['provenance']:
            state = result['provenance']['c2pa']
            meant = f' ({STATES[state]})' if state in STATES else ''
            told.append(f'content credentials (C2PA): {state}{meant}')
            details = result['provenance']['c2pa_details'] or {}
            parts = [('signed by', details.get('signed_by')), ('made with', details.get('made_with'))]
            parts += [('says', ', '.join(details.get('actions', ()))), ('faults', ', '.join(details.get('faults', ())))]
            told += [f'  {name}: {value}' for name, value in parts if value]
            told.append(f'software by EXIF: {result["provenance"]["exif_software"] or "none"}')
        return told

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
        shown, found = sample.clone(), self.result(item, sample)
        if found['verdict']:
            shown.pred_fake_score = found['fake_score']
            shown.set_metainfo(dict(verdict=found['verdict']))
        shown.pred_type_scores = torch.tensor(log_odds(np.array([*self._type_probabilities(sample).values()])))
        return self._drawer.draw(image, shown, draw_gt=False)

    @cached_property
    def _drawer(self) -> ManipulationVisualizer:
        """Made when the first answer is drawn: it opens a figure of matplotlib."""
        visualizer = ManipulationVisualizer(name='check')
        visualizer.dataset_meta = self.dataset.metainfo
        return visualizer


def _in_100(rate: Rate) -> str:
    return f'{100 * rate.value:.0f} in 100 ({100 * rate.low:.0f} to {100 * rate.high:.0f})'


def _is_strange(result: dict) -> bool:
    return any(warning.startswith(UNLIKE) for warning in result['warnings'])


def _reads(item: Item) -> bool:
    """Whether the model knows a word of the caption, which punctuation is not."""
    known = (item.words[word] for word in item.word_ids if word not in item.unknown)
    return any(any(map(str.isalnum, word)) for word in known)


def _copies(picture: Picture) -> dict[str, Picture]:
    """The picture as others may have handed it on; one that JPEG has no room for (65,535 pixels a side) is left out."""
    img = picture.load()[0]
    height, width = img.shape[:2]
    size = max(round(width * SCALE), 1), max(round(height * SCALE), 1)
    small = cv2.resize(img, size, interpolation=cv2.INTER_AREA)
    copies = dict(resized=Picture(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), picture.max_pixels))
    if max(height, width) <= 65535:
        data = cv2.imencode('.jpg', img, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        copies = dict(recompressed=Picture(data, picture.max_pixels), **copies)
    return copies
