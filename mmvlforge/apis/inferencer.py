"""What the inferencers share: loading, batches, precision, progress, and inputs that cannot be used."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.infer import BaseInferencer
from mmengine.model import BaseModel
from rich.console import Console
from rich.progress import track

from mmvlforge.annotations.values import one_line
from mmvlforge.apis.familiarity import FeatureWatch
from mmvlforge.apis.inputs import Picture, Query, batched, read_queries
from mmvlforge.apis.loading import load_trained
from mmvlforge.config_files import told_of_config
from mmvlforge.datasets.collate import vl_collate
from mmvlforge.datasets.nested_datasets import (
    PictureLoader,
    nested_datasets,
    picture_loader,
    pipeline_tokenizer,
)
from mmvlforge.datasets.transforms import LoadImageGroup
from mmvlforge.registry import DATASETS
from mmvlforge.visualization.drawing import NO_GLYPH, name_letters, undrawable

__all__ = ['UNLIKE', 'ForgeInferencer', 'Item', 'upright_pipeline']

UNLIKE = 'unlike what the model learnt from'  # so a warning begins


class Item(NamedTuple):
    """A query made ready for the model.

    Attributes:
        query: What was asked.
        picture: Its picture, None of a caption alone.
        packed: What the pipeline returned: ``inputs``, ``targets`` and ``data_samples``.
        words: Words of the caption: as the user wrote them, or for retrieval cleaned.
        word_ids: Word of each token that is not special.
        unknown: Words, by number, of which the tokenizer does not know a part, or reads nothing.
        unread_words: How many words of the caption lie beyond the limit, the one read in part among them.
        part_read: Number of the word of which the limit left a part.
        left_out: Letters that were left out of the caption, so that it is like those of the training set.
        statistics: Of its picture and its caption, as far as the model read them, see :class:`FeatureWatch`.
        unfamiliar: Which of these, ``'image'`` and ``'text'``, are unlike all that the model has seen.
        copies: The same with an altered picture, packed, by what was done to it.
        provenance: What the picture's file says of where it comes from.
    """

    query: Query
    picture: Picture | None
    packed: dict
    words: list[str]
    word_ids: list[int]
    unknown: set[int]
    unread_words: int
    part_read: int | None = None
    left_out: tuple[str, ...] = ()
    statistics: dict[str, np.ndarray] = {}
    unfamiliar: tuple[str, ...] = ()
    copies: dict[str, dict] = {}
    provenance: dict | None = None


class ForgeInferencer(BaseInferencer):
    """Ask a trained model about a user's own pictures and captions.

    MMEngine's own loading unpickles checkpoints and takes foreign ones; here they are read safely and must fit.

    Args:
        model: Folder of a model, or its config: a file or one of our names, such as ``'dgm4/dca_imq'``.
        weights: The checkpoint; not with a folder.
        device: Such as ``'cuda'``; an accelerator if there is one by default.
        bf16: Run in bfloat16 (autocast).
        cfg_options: Settings over the config.
        show_progress: Show a bar on standard error where it is a terminal and there is more than one batch.
        max_pixels: A picture of more pixels is refused before it is decoded; by default as in the test pipeline.

    Raises:
        ValueError: The model cannot be loaded (see :func:`mmvlforge.apis.loading.load_trained`), or is of another kind.
    """

    schema = ''  # name and version of a result's form
    fields: tuple[str, ...] = ()  # what a result has beside the head

    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        device: str | None = None,
        bf16: bool = False,
        cfg_options: dict | None = None,
        show_progress: bool = True,
        max_pixels: int | None = None,
    ) -> None:
        self.trained = load_trained(model, weights, cfg_options, device)
        self.bf16 = bf16
        cfg = self.trained.cfg
        if 'test_dataloader' not in cfg:
            raise ValueError(f'{self.trained.config}: has no test_dataloader, whose pipeline prepares pictures')
        # Class names, tokenizer and pipeline are the test set's; its files are not read.
        with told_of_config(self.trained.config):
            dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True))
        # Of sets that are tested as one the first stands for all.
        self.dataset: BaseDataset = next(nested_datasets(dataset, 'pipeline'), dataset)
        self.max_pixels = max_pixels or picture_loader(self.dataset).max_pixels
        self.check_kind()
        self.watch = FeatureWatch(self.trained.model) if self.trained.familiarity else None
        tokenizer = pipeline_tokenizer(self.dataset)
        if tokenizer is None:
            raise ValueError(f'{self.trained.config}: the test pipeline has no tokenizer')
        self.tokenizer = tokenizer
        super().__init__(cfg, scope=cfg.get('default_scope', 'mmvlforge'), show_progress=show_progress)

    @abstractmethod
    def check_kind(self) -> None:
        """Raise ValueError if the config is of another system."""

    def _init_model(self, cfg, weights, device: str = 'cpu') -> BaseModel:
        return self.trained.model

    def _init_collate(self, cfg) -> Callable:
        return vl_collate

    def _init_visualizer(self, cfg) -> None:
        return None

    def _init_pipeline(self, cfg) -> Callable[[dict], dict]:
        """The test pipeline up to packing, which takes pictures as a person sees them in place of stored files."""
        run, self.pack_transform = upright_pipeline(self.dataset)
        return run

    def __call__(self, inputs: Any, return_datasamples: bool = False, batch_size: int = 16, **kwargs) -> dict:
        """Ask about all inputs.

        Args:
            inputs: See :func:`mmvlforge.apis.inputs.read_queries`; a pair is ``(image, caption)``.
            return_datasamples: Return ``VLDataSample`` objects in place of plain dicts.
            batch_size: Queries that go through the model together.
            **kwargs: ``draw`` (draw the answers), ``on_error`` (see :meth:`stream`).

        Returns:
            ``predictions``, one for each query, and ``visualization``, likewise RGB pictures (None where a query could
            not be answered), empty without ``draw``.

        Raises:
            ValueError: An input is broken.
        """
        draw, on_error = kwargs.pop('draw', False), kwargs.pop('on_error', 'raise')
        if kwargs:
            raise ValueError(f'unknown arguments {sorted(kwargs)}; known are draw and on_error')
        predictions: list = []
        pictures: list[np.ndarray | None] = []
        for item, sample, result in self._answers(inputs, batch_size, on_error):
            predictions.append(sample if return_datasamples else result)
            if draw:
                pictures.append(self.draw(item, sample) if item else None)
                gone = undrawable(item.query.caption or '') if item else []
                if gone:
                    result['warnings'].append(f'drawn as {NO_GLYPH}, for want of a face: {name_letters(gone)}')
        return dict(predictions=predictions, visualization=pictures)

    def stream(self, inputs: Any, batch_size: int = 16, on_error: str = 'report') -> Iterator[dict]:
        """Results one after another, in the order of the inputs; memory does not grow with their number.

        Args:
            inputs: As in :meth:`__call__`.
            batch_size: Likewise.
            on_error: ``'report'`` gives a query that cannot be answered, such as one with a broken picture, a result
                with ``error``; ``'raise'`` stops there. A broken list of inputs always does.
        """
        for _, _, result in self._answers(inputs, batch_size, on_error):
            yield result

    def _answers(self, inputs: Any, batch_size: int, on_error: str) -> Iterator[tuple[Item | None, Any, dict]]:
        if on_error not in ('report', 'raise'):
            raise ValueError(f"on_error must be 'report' or 'raise', got {on_error!r}")
        ready = self.prepare if on_error == 'raise' else self.prepared
        for chunk in self._progress(batched(read_queries(inputs), batch_size)):
            for item, sample, result in self.answered([ready(query) for query in chunk]):
                if on_error == 'raise' and 'error' in result:
                    raise ValueError(result['error'])
                yield item, sample, result

    def prepared(self, query: Query | ValueError) -> Item | dict:
        """A query made ready, or a result with ``error`` of one that cannot be; another process may do it.

        Args:
            query: What is asked, or what is wrong with the record that should say so.
        """
        if isinstance(query, ValueError):
            return self.failed(Query(), query)
        try:
            return self.prepare(query)
        except ValueError as error:
            return self.failed(query, error)

    def failed(self, query: Query, error: ValueError) -> dict:
        """The result of a query that cannot be answered."""
        return {**self.head(query, None), **dict.fromkeys(self.fields), 'error': one_line(str(error))}

    def answered(self, ready: Sequence[Item | dict]) -> Iterator[tuple[Item | None, Any, dict]]:
        """Put queries through the model together.

        Args:
            ready: What :meth:`prepared` gave.

        Yields:
            Of each the item, the model's answer and the result; of a result with ``error`` that alone.
        """
        # A batch holds pictures in all of its items or in none, and likewise captions.
        groups: dict[tuple[bool, bool], list[int]] = {}
        for place, item in enumerate(ready):
            if isinstance(item, Item):
                kind = 'image' in item.packed['inputs'], item.query.caption is not None
                groups.setdefault(kind, []).append(place)
        answers: dict[int, tuple[Item, Any]] = {}
        for places in groups.values():
            items = [item for item in (ready[place] for place in places) if isinstance(item, Item)]
            samples = self.forward(items)
            answers.update(zip(places, zip(self._watched(items), samples)))
        for place, query in enumerate(ready):
            if isinstance(query, dict):
                yield None, None, query
            else:
                item, sample = answers[place]
                try:
                    result = self.result(item, sample)
                except ValueError as error:  # such as NaN
                    yield None, None, self.failed(item.query, error)
                else:
                    yield item, sample, result

    def _watched(self, items: list[Item]) -> list[Item]:
        seen = self.watch.take() if self.watch else {}
        known = self.trained.familiarity
        far = {part: known[part].distances(rows) > 1 for part, rows in seen.items() if part in known}
        watched = []
        for row, item in enumerate(items):
            read = [part for part in seen if _is_read(item, part)]
            statistics = {part: seen[part][row] for part in read}
            unfamiliar = tuple(part for part in read if part in far and far[part][row])
            watched.append(item._replace(statistics=statistics, unfamiliar=unfamiliar))
        return watched

    def statistics(self, inputs: Any, batch_size: int = 32) -> dict[str, np.ndarray]:
        """Statistics of the encoders' tokens (:class:`FeatureWatch`), of ``'image'`` and ``'text'`` each ``(N, 2 C)``.

        Args:
            inputs: As in :meth:`__call__`; what cannot be read is left out.
            batch_size: Likewise.
        """
        self.watch = self.watch or FeatureWatch(self.trained.model)
        rows: dict[str, list[np.ndarray]] = {}
        for item, _, _ in self._answers(inputs, batch_size, 'report'):
            for part, row in item.statistics.items() if item else ():
                rows.setdefault(part, []).append(row)
        return {part: np.stack(found) for part, found in rows.items()}

    def _progress(self, batches: Iterator[list]) -> Iterable[list]:
        console = Console(stderr=True)
        first, second = next(batches, None), next(batches, None)
        start = [batch for batch in (first, second) if batch]
        rest = (batch for part in (start, batches) for batch in part)
        if not (self.show_progress and second and console.is_terminal):
            return rest
        return track(rest, 'Inference', console=console, transient=True)

    def forward(self, inputs: list, **kwargs) -> list:
        """Answers of the model to items, as one batch."""
        device = next(self.model.parameters()).device.type
        with torch.no_grad(), torch.autocast(device, torch.bfloat16) if self.bf16 else nullcontext():
            return self.answer_batch(self.collate_fn([item.packed for item in inputs]), inputs)

    def answer_batch(self, batch: dict, items: list[Item]) -> list:
        """Answers to a collated batch of items."""
        return self.model.test_step(batch)

    def pack(self, query: Query, fields: dict, picture: Picture | None, owners: Sequence[int] | None = None) -> Item:
        """Run the pipeline.

        Args:
            query: What is asked.
            fields: The data set's fields of it: a ``text``, or ``captions``, a list of at most one.
            picture: Its picture; None without one.
            owners: The user's word that each word of the text was made of, and the number of the user's words. None
                where the text has them as they are, or the first of them.
        """
        fields = self.pipeline(dict(fields, picture=picture))
        if query.caption is None:
            return Item(query, picture, self.pack_transform(fields), [], [], set(), 0)
        single, words = 'text' in fields, self.split(query.caption)
        text, ids, fed_ids = (
            (fields[name] if single else fields[name][0])
            for name in ('text' if single else 'captions', 'input_ids', 'word_ids')
        )
        fed = text.split()
        owners = range(len(fed) + 1) if owners is None else owners
        token_words = [None if word is None else owners[word] for word in fed_ids]
        if single:
            fields.update(text=query.caption, word_ids=token_words)
        word_ids = [word for word in token_words if word is not None]
        end = owners[self._num_whole(fed, len(word_ids))]  # from here on not read, or not wholly
        unknown = {word for word, id in zip(token_words, ids) if id == self.tokenizer.unk_token_id and word is not None}
        unknown |= {word for word in set(range(end)).difference(word_ids) if any(map(str.isalnum, words[word]))}
        return Item(
            query,
            picture,
            self.pack_transform(fields),
            words,
            word_ids,
            unknown,
            unread_words=len(words) - end,
            part_read=end if end in word_ids else None,
        )

    def _num_whole(self, words: list[str], num_tokens: int) -> int:
        """How many words are read whole, where the limit leaves a number of tokens of them."""
        uncut = self.tokenizer(words, is_split_into_words=True, add_special_tokens=False, verbose=False).word_ids()
        return uncut[num_tokens] if num_tokens < len(uncut) else len(words)

    def split(self, caption: str) -> list[str]:
        """The words of a caption, before any limit."""
        return caption.split()

    def head(self, query: Query, picture: Picture | None) -> dict:
        """The fields that every result begins with."""
        return dict(
            schema=self.schema,
            id=query.id,
            image=query.image_name,
            image_sha256=picture.sha256 if picture else None,
            caption=query.caption,
        )

    def input_warnings(self, item: Item) -> list[str]:
        """What is to be said about what the model could not read of a query, or never saw the like of."""
        strange = [dict(image='picture', text='caption')[part] for part in item.unfamiliar]
        told = [f'{UNLIKE}: {" and ".join(strange)}'] if strange else []
        if item.picture and item.picture.has_more:
            told.append('the file holds several pictures or pages: the first was read')
        if item.unread_words:
            part = '' if item.part_read is None else f' (a part of {item.words[item.part_read]:.40} was)'
            told.append(f'{item.unread_words} words lie beyond the limit and were not read{part}')
        if item.left_out:
            letters = ' '.join(item.left_out[:20]) + (' ...' if len(item.left_out) > 20 else '')
            told.append(f'read without letters and signs that no caption in training had: {letters}')
        if item.unknown:
            words = list(dict.fromkeys(f'{item.words[word]:.40}' for word in sorted(item.unknown)))
            more = f' and {len(words) - 20} more' if len(words) > 20 else ''
            told.append(f'not in the vocabulary: {" ".join(words[:20])}{more}')
        return [*told, *self.trained.cfg.get('model_warnings', ())]

    @abstractmethod
    def prepare(self, query: Query) -> Item:
        """Make a query ready. Raises UnusableImageError for its picture, ValueError where something is missing."""

    @abstractmethod
    def result(self, item: Item, sample: Any) -> dict:
        """The answer in plain values."""

    @abstractmethod
    def draw(self, item: Item, sample: Any) -> np.ndarray:
        """The answer as a picture, RGB uint8 ``(H, W, 3)``."""

    def visualize(self, inputs: list, preds: Any, show: bool = False, **kwargs) -> list[np.ndarray]:
        """Pictures of answers; MMEngine's hook, as :meth:`draw`."""
        return [self.draw(item, sample) for item, sample in zip(inputs, preds)]

    def postprocess(self, preds: Any, visualization: list, return_datasample: bool = False, **kwargs) -> dict:
        """Put answers and pictures together; MMEngine's hook."""
        return dict(predictions=preds, visualization=visualization)


def _is_read(item: Item, part: str) -> bool:
    if part == 'image':
        return item.query.image is not None and item.picture is not None
    return item.query.caption is not None and any(word not in item.unknown for word in item.word_ids)


def upright_pipeline(dataset: BaseDataset) -> tuple[Callable[[dict], dict], Callable[[dict], dict]]:
    """A data set's pipeline up to packing, which reads ``picture``, a :class:`Picture`; and what packs."""
    *transforms, pack = dataset.pipeline.transforms
    steps = [_loader(transform) for transform in transforms]

    def run(fields: dict) -> dict:
        for step in steps:
            fields = step(fields)
        return fields

    return run, pack


def _loader(transform: Callable[[dict], dict]) -> Callable[[dict], dict]:
    """What reads a user's picture in place of a transform that reads stored files; others stay."""
    if not isinstance(transform, PictureLoader):
        return transform
    target_size = transform.target_size

    def load(fields: dict) -> dict:
        if fields['picture'] is None:  # a group without pictures
            return dict(fields, imgs=[])
        img, shape = fields['picture'].load(target_size)
        if isinstance(transform, LoadImageGroup):
            return dict(fields, imgs=[img])
        return dict(fields, img=img, ori_shape=shape, img_shape=img.shape[:2], gt_bboxes=np.zeros((0, 4), np.float32))

    return load
