"""A dual encoder at work: pictures and captions to vectors, and a trained model beside its test set."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.runner import Runner

from mmvlforge.annotations import clean_caption
from mmvlforge.apis.inferencer import ForgeInferencer, Item, upright_pipeline
from mmvlforge.apis.inputs import Picture, Query, read_queries
from mmvlforge.apis.loading import load_trained
from mmvlforge.config_files import told_of_config
from mmvlforge.datasets.caption_item import caption_item
from mmvlforge.datasets.collate import vl_collate
from mmvlforge.datasets.nested_datasets import picture_loader, pipeline_tokenizer
from mmvlforge.structures import VLDataSample, VLInputs
from mmvlforge.visualization import blank_picture, load_picture
from mmvlforge.visualization.drawing import FAINT, Word, captioned_picture

__all__ = ['Features', 'FolderSearch', 'Hit', 'RetrievalInferencer', 'TrainedRetriever', 'search_folder']


class Features(NamedTuple):
    """Embeddings of a whole test set.

    Attributes:
        image: ``(Ni, D)``.
        text: ``(Nt, D)``.
        owner: Index of each caption's image, ``(Nt,)``.
        paths: Picture files.
        captions: Captions as the model read them.
    """

    image: np.ndarray
    text: np.ndarray
    owner: np.ndarray
    paths: list[str]
    captions: list[str]


class TrainedRetriever:
    """A model and its test set.

    Args:
        config: Config file.
        checkpoint: Checkpoint file.
        cfg_options: Settings over the config.

    Raises:
        ValueError: The checkpoint is none of this model, or the config is not of retrieval.
    """

    def __init__(self, config: str, checkpoint: str, cfg_options: dict) -> None:
        self.config = config
        self.trained = load_trained(config, checkpoint, cfg_options)
        self.cfg, self.model = self.trained.cfg, self.trained.model
        if 'test_dataloader' not in self.cfg or not hasattr(self.model, 'encode_images'):
            raise ValueError(f'{config}: a {type(self.model).__name__} is no dual encoder with a test set')
        with told_of_config(config):
            self.loader = Runner.build_dataloader(self.cfg.test_dataloader)
        self.dataset = self.loader.dataset
        tokenizer = pipeline_tokenizer(self.dataset)
        if tokenizer is None:
            raise ValueError(f'{config}: the test pipeline has no CaptionTokenizer')
        self.tokenizer = tokenizer

    def need(self, method: str) -> None:
        """Raise ValueError if the model cannot do something."""
        if not hasattr(self.model, method):
            raise ValueError(f'{self.config}: a {type(self.model).__name__} cannot {method}')

    def prepare(self, items: list[dict]) -> tuple[VLInputs, list[VLDataSample]]:
        """A batch of data set items on the model's device."""
        return self._prepare(vl_collate(items))

    def _prepare(self, batch: dict) -> tuple[VLInputs, list[VLDataSample]]:
        data = self.model.data_preprocessor(batch)
        return data['inputs'], data['data_samples']

    def pair(self, image: str, caption: str) -> dict:
        """A user's picture and caption as an item, by way of the test pipeline."""
        if not clean_caption(caption, 1):
            raise ValueError(f'caption {caption!r:.60}: has no word in it')
        run, pack = upright_pipeline(self.dataset)
        picture = Picture(image, picture_loader(self.dataset).max_pixels)
        return pack(run(dict(caption_item(0, 0, [image], [caption], None), picture=picture)))

    def tokens(self, inputs: VLInputs, row: int) -> list[str]:
        """Word tokens of a caption; '##' opens one that continues a word."""
        return self.tokenizer.convert_ids_to_tokens(inputs.input_ids[row][inputs.word_mask[row]].tolist())

    def picture(self, path: str) -> np.ndarray:
        """A picture as a person sees it, RGB uint8 ``(H, W, 3)``.

        Raises:
            UnusableImageError: The file is missing, no picture, or one of more pixels than the test pipeline takes.
        """
        return load_picture(path, 'seen', picture_loader(self.dataset).max_pixels)

    def check_drawable(self, samples: list[VLDataSample]) -> None:
        """Raise ValueError if a sample of the test set is not one picture, drawn as it is stored."""
        for sample in samples:
            if sample.num_images != 1 or self.dataset.get_data_info(sample.index)['box']:
                raise ValueError(
                    f'{self.config}: sample {sample.index} is not one whole picture with its captions, which alone can '
                    'be drawn'
                )

    def batches(self) -> Iterator[tuple[VLInputs, list[VLDataSample]]]:
        """The test set."""
        return map(self._prepare, self.loader)

    @torch.no_grad()
    def features(self) -> Features:
        """Embed the test set, whose items have one whole picture each."""
        images, texts, samples = [], [], []
        for inputs, data_samples in self.batches():
            self.check_drawable(data_samples)
            found = self.model(inputs, mode='tensor')
            images.append(found.image.cpu())
            texts.append(found.text.cpu())
            samples += data_samples
        return Features(
            torch.cat(images).numpy(),
            torch.cat(texts).numpy(),
            np.repeat(np.arange(len(samples)), [sample.num_captions for sample in samples]),
            [sample.img_paths[0] for sample in samples],
            [caption for sample in samples for caption in sample.captions],
        )


class PairInferencer(ForgeInferencer):
    """What inferencers of retrieval models share: their pipelines read groups of pictures and captions."""

    def check_kind(self) -> None:
        """Raise ValueError if the model has no space that pictures and captions share."""
        if not hasattr(self.trained.model, 'encode_images'):
            raise ValueError(f'{self.trained.config}: a {type(self.trained.model).__name__} is no dual encoder')

    def split(self, caption: str) -> list[str]:
        """The words of a caption, cleaned as the training set's were, before any limit."""
        return clean_caption(caption, len(caption)).split()

    def prepare(self, query: Query) -> Item:
        """Make a query ready; see the base class."""
        picture = None if query.image is None else Picture(query.image, self.max_pixels)
        if query.caption is not None and not self.split(query.caption):
            raise ValueError(f'caption {query.caption!r:.60}: has no word in it')
        captions = [] if query.caption is None else [query.caption]
        fields = caption_item(0, 0, [query.image_name or ''], captions, None)
        return self.pack(query, fields, picture)


class RetrievalInferencer(PairInferencer):
    """Turn pictures and captions into vectors whose dot product is their similarity.

    A result is a dict of the form ``mmvlforge.embedding/1``: ``image_embedding`` and ``text_embedding`` (lists of
    floats of length 1, None where there was no picture or no caption), ``similarity`` (None without both),
    ``unread_words``, ``warnings``, ``model``. :meth:`encode_images` and :meth:`encode_texts` give arrays instead.

    Args:
        model: See :class:`mmvlforge.apis.inferencer.ForgeInferencer`, as all others.
    """

    schema = 'mmvlforge.embedding/1'
    fields = ('image_embedding', 'text_embedding', 'similarity', 'unread_words', 'warnings', 'model')

    def encode_images(self, inputs: Any, batch_size: int = 16) -> np.ndarray:
        """Vectors of pictures, float32 ``(N, D)``, rows of length 1.

        Args:
            inputs: Pictures in any form that :func:`mmvlforge.apis.inputs.read_queries` reads; captions are not read.
            batch_size: Pictures that go through the model together.

        Raises:
            ValueError: One is missing or broken.
        """
        pictures = (query._replace(caption=None) for query in read_queries(inputs))
        answers = self._answers(pictures, batch_size, 'raise')
        return self._stack([sample.get('pred_image_feats') for _, sample, _ in answers], 'picture')

    def encode_texts(self, captions: list[str], batch_size: int = 64) -> np.ndarray:
        """Vectors of captions, float32 ``(N, D)``, rows of length 1.

        Args:
            captions: The captions.
            batch_size: Captions that go through the model together.

        Raises:
            ValueError: One has no word in it.
        """
        if isinstance(captions, str):
            raise ValueError(f'captions must be a list of strings, got the string {captions!r:.60}')
        answers = self._answers((dict(caption=caption) for caption in captions), batch_size, 'raise')
        return self._stack([sample.get('pred_text_feats') for _, sample, _ in answers], 'caption')

    @staticmethod
    def _stack(rows: list, what: str) -> np.ndarray:
        missing = [i for i, row in enumerate(rows) if row is None]
        if missing or not rows:
            raise ValueError(f'no {what} in ' + (f'input {missing[0]}' if missing else 'the inputs'))
        return torch.cat(rows).numpy()

    def answer_batch(self, batch: dict, items: list[Item]) -> list[VLDataSample]:
        """Encode what is there: pictures, captions or both."""
        data = self.model.data_preprocessor(batch)
        inputs, samples = data['inputs'], data['data_samples']
        momentum = self.model.momentum_features
        if items[0].query.caption is not None:  # then all have one
            for sample, text in zip(samples, self.model.encode_texts(inputs, momentum).cpu()):
                sample.pred_text_feats = text[None]
        if inputs.images is not None:
            for sample, image in zip(samples, self.model.encode_images(inputs, momentum).cpu()):
                sample.pred_image_feats = image[None]
        return samples

    def result(self, item: Item, sample: VLDataSample) -> dict:
        """The vectors in plain values."""
        image, text = sample.get('pred_image_feats'), sample.get('pred_text_feats')
        return dict(
            self.head(item.query, item.picture),
            image_embedding=None if image is None else image[0].tolist(),
            text_embedding=None if text is None else text[0].tolist(),
            similarity=None if image is None or text is None else float(image[0] @ text[0]),
            unread_words=item.unread_words,
            warnings=self.input_warnings(item),
            model=self.trained.describe(),
        )

    def draw(self, item: Item, sample: VLDataSample) -> np.ndarray:
        """The picture, and under it the caption with the similarity."""
        image = item.picture.rgb() if item.picture else blank_picture()
        similarity = self.result(item, sample)['similarity']
        score = [] if similarity is None else [Word(f'{similarity:.2f}', color=FAINT)]
        return captioned_picture(image, [*score, *map(Word, (item.query.caption or '').split())])


class Hit(NamedTuple):
    """A picture that was found.

    Attributes:
        path: Its file.
        similarity: To the query, -1 to 1.
        caption: '' if none is known.
    """

    path: str
    similarity: float
    caption: str = ''


class FolderSearch(NamedTuple):
    """What was found in a folder.

    Attributes:
        hits: Of each query, the best pictures, the best first.
        num_pictures: How many there are.
        left_out: Those that cannot be read, each with the reason.
        warnings: What the model could not read of the queries, and what it says of itself.
    """

    hits: dict[str, list[Hit]]
    num_pictures: int
    left_out: dict[str, str]
    warnings: list[str]


def search_folder(
    ask: RetrievalInferencer,
    folder: str | Path,
    queries: Sequence[str],
    topk: int = 6,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FolderSearch:
    """Find the pictures of a folder, and of all folders in it, that fit words best; every picture is encoded.

    Args:
        ask: A dual encoder.
        folder: The folder.
        queries: What to look for.
        topk: Pictures for each query.
        progress: Called with how many of how many pictures are encoded.

    Raises:
        ValueError: There is no such folder, no picture in it that can be read, or no word in a query.
    """
    if not Path(folder).is_dir():
        raise ValueError(f'{folder}: is no folder, whose pictures could be searched')
    asked = ask([Query(caption=query) for query in queries])['predictions']
    total = sum(1 for _ in read_queries(folder))
    vectors: dict[str, list[float]] = {}
    left_out: dict[str, str] = {}
    for done, result in enumerate(ask.stream(folder), 1):
        if 'error' in result:
            left_out[result['image']] = result['error']
        else:
            vectors[result['image']] = result['image_embedding']
        progress(done, total)
    if not vectors:
        raise ValueError(f'{folder}: of {total} pictures none can be read, the first: {next(iter(left_out.values()))}')
    paths, images = list(vectors), np.array(list(vectors.values()))
    hits = {}
    for query, answer in zip(queries, asked):
        scores = images @ np.array(answer['text_embedding'])
        best = (-scores).argsort(kind='stable')[:topk]
        hits[query] = [Hit(paths[i], float(scores[i])) for i in best]
    warnings = dict.fromkeys(warning for answer in asked for warning in answer['warnings'])
    return FolderSearch(hits, total, left_out, list(warnings))
