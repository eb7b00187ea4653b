"""What the tools that draw a retrieval model's work share: the model beside its test set."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from mmengine.runner import Runner

from mmvlforge.apis.loading import load_trained
from mmvlforge.datasets.caption_item import caption_item
from mmvlforge.datasets.collate import vl_collate
from mmvlforge.datasets.nested_datasets import caption_tokenizer
from mmvlforge.structures import VLDataSample, VLInputs

__all__ = ['Features', 'TrainedRetriever']


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
        self.cfg, self.model = load_trained(config, checkpoint, cfg_options)
        self.loader = Runner.build_dataloader(self.cfg.test_dataloader)
        self.dataset = self.loader.dataset
        self.tokenizer = caption_tokenizer(self.dataset)
        if self.tokenizer is None:
            raise ValueError(f'{config}: the test pipeline has no CaptionTokenizer')

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
        if not caption.strip():
            raise ValueError('the caption is empty')
        return self.dataset.pipeline(caption_item(0, 0, [image], [caption], None))

    def tokens(self, inputs: VLInputs, row: int) -> list[str]:
        """Word tokens of a caption; '##' opens one that continues a word."""
        return self.tokenizer.convert_ids_to_tokens(inputs.input_ids[row][inputs.word_mask[row]].tolist())

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
