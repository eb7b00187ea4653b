"""What the inferencers share: loading, batches, precision, progress, and inputs that cannot be used."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
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

from mmvlforge.apis.inputs import Picture, Query, batched, read_queries
from mmvlforge.apis.loading import load_trained
from mmvlforge.config_files import told_of_config
from mmvlforge.datasets.collate import vl_collate
from mmvlforge.datasets.nested_datasets import pipeline_tokenizer
from mmvlforge.datasets.transforms import LoadImage, LoadImageGroup
from mmvlforge.registry import DATASETS

__all__ = ['ForgeInferencer', 'Item', 'upright_pipeline']


class Item(NamedTuple):
    """A query made ready for the model.

    Attributes:
        query: What was asked.
        picture: Its picture, None of a caption alone.
        packed: What the pipeline returned: ``inputs``, ``targets`` and ``data_samples``.
        words: Words of the caption as the tokenizer got it.
        word_ids: Word of each token that is not special.
        unknown: Words, by number, of which the tokenizer does not know a part.
        unread_words: How many words of the caption lie beyond the limit.
    """

    query: Query
    picture: Picture | None
    packed: dict
    words: list[str]
    word_ids: list[int]
    unknown: set[int]
    unread_words: int


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
    ) -> None:
        self.trained = load_trained(model, weights, cfg_options, device)
        self.bf16 = bf16
        cfg = self.trained.cfg
        if 'test_dataloader' not in cfg:
            raise ValueError(f'{self.trained.config}: has no test_dataloader, whose pipeline prepares pictures')
        # Class names, tokenizer and pipeline are the test set's; its files are not read.
        with told_of_config(self.trained.config):
            self.dataset: BaseDataset = DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True))
        self.check_kind()
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
        for chunk in self._progress(batched(read_queries(inputs), batch_size)):
            ready: list[Item | dict] = []
            for query in chunk:
                try:
                    ready.append(self.prepare(query))
                except ValueError as error:  # of this query alone
                    if on_error == 'raise':
                        raise
                    ready.append({**self.head(query, None), **dict.fromkeys(self.fields), 'error': str(error)})
            # A batch holds pictures in all of its items or in none, and likewise captions.
            groups: dict[tuple[bool, bool], list[int]] = {}
            for place, item in enumerate(ready):
                if isinstance(item, Item):
                    kind = 'image' in item.packed['inputs'], item.query.caption is not None
                    groups.setdefault(kind, []).append(place)
            samples = {
                place: sample
                for places in groups.values()
                for place, sample in zip(places, self.forward([ready[place] for place in places]))
            }
            for place, item in enumerate(ready):
                if isinstance(item, Item):
                    yield item, samples[place], self.result(item, samples[place])
                else:
                    yield None, None, item

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

    def pack(self, query: Query, fields: dict, picture: Picture | None) -> Item:
        """Run the pipeline.

        Args:
            query: What is asked.
            fields: The data set's fields of it.
            picture: Its picture; None without one.
        """
        fields = self.pipeline(dict(fields, picture=picture))
        names = ('text', 'input_ids', 'word_ids') if 'text' in fields else ('captions', 'input_ids', 'word_ids')
        text, ids, words = (fields[name] if 'text' in fields else fields[name][0] for name in names)
        unknown = {word for word, id in zip(words, ids) if word is not None and id == self.tokenizer.unk_token_id}
        word_ids = [word for word in words if word is not None]
        unread = len(self.split(query.caption)) - len(set(word_ids)) if query.caption is not None else 0
        return Item(query, picture, self.pack_transform(fields), text.split(), word_ids, unknown, unread)

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

    def word_warnings(self, item: Item) -> list[str]:
        """What is to be said about words that the model could not read."""
        told = []
        if item.unread_words:
            told.append(f'{item.unread_words} words lie beyond the limit and were not read')
        if item.unknown:
            words = dict.fromkeys(f'{item.words[word]:.40}' for word in sorted(item.unknown))
            told.append(f'not in the vocabulary: {" ".join(words)}')
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
    if not isinstance(transform, (LoadImage, LoadImageGroup)):
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
