"""What a model has seen: fitted once, and held against each input, so that no firm answer is given to a strange one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.config import Config
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor, nn

from mmvlforge.annotations.values import one_line
from mmvlforge.datasets.nested_datasets import nested_datasets
from mmvlforge.evaluation.familiarity import Familiarity, fit_familiarity
from mmvlforge.registry import DATASETS
from mmvlforge.structures import ImageFeatures

if TYPE_CHECKING:
    from mmvlforge.apis.inferencer import ForgeInferencer

__all__ = [
    'FAMILIARITY',
    'FeatureWatch',
    'draw_records',
    'fit_parts',
    'learn_familiarity',
    'read_familiarity',
    'write_familiarity',
]

FAMILIARITY = 'familiarity.safetensors'  # beside a model's weights
_SCHEMA = 'mmvlforge.familiarity/1'


class FeatureWatch:
    """Mean and deviation, over its tokens, of what each encoder of a model hands on.

    Pictures of another world differ in the deviation more than in the mean, and in both more than in [CLS], which a
    training on few classes leaves little of.

    Args:
        model: A detector or a dual encoder.
    """

    def __init__(self, model: nn.Module) -> None:
        self._seen: dict[str, np.ndarray] = {}
        net: Any = model.momentum if getattr(model, 'momentum_features', False) else model
        net.image_encoder.register_forward_hook(self._keep_image)
        net.text_encoder.register_forward_hook(self._keep_text, with_kwargs=True)

    def take(self) -> dict[str, np.ndarray]:
        """What was seen since it was asked last, ``image`` and ``text`` each ``(B, 2 C)``."""
        seen, self._seen = self._seen, {}
        return seen

    def _keep_image(self, module: nn.Module, args: tuple, output: Tensor | ImageFeatures) -> None:
        tokens = output.levels[-1] if isinstance(output, ImageFeatures) else output[:, 1:]
        self._seen['image'] = _statistics(tokens, tokens.new_ones(tokens.shape[:2]))

    def _keep_text(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        if len(args) == 1 and not kwargs:  # the caption alone, not beside a picture
            words = args[0].word_mask
            self._seen['text'] = _statistics(output[:, : words.shape[1]], words)  # SigLIP's tower fills captions up


def _statistics(tokens: Tensor, mask: Tensor) -> np.ndarray:
    tokens, weight = tokens.float(), mask[..., None].float()
    count = weight.sum(1).clamp(min=1)
    mean = (tokens * weight).sum(1) / count
    deviation = ((tokens - mean[:, None]).square() * weight).sum(1).div(count).sqrt()
    return torch.cat([mean, deviation], 1).cpu().numpy()


def draw_records(cfg: Config, loader: str, num: int, seed: int = 0) -> list[dict]:
    """Records of a config's data, as its data set gives them.

    Args:
        cfg: The config.
        loader: Its ``'train_dataloader'`` or ``'val_dataloader'``.
        num: How many at the most; they are drawn without repetition.
        seed: Of the draw.

    Raises:
        ValueError: The config has no such loader, or its data are streams.
        FileNotFoundError: The data are missing.
    """
    if not cfg.get(loader):
        raise ValueError(
            f'{cfg.filename}: has no {loader}, from which to learn what the model knows; --pairs 0 leaves that out'
        )
    parts = list(nested_datasets(DATASETS.build(cfg[loader].dataset), 'get_data_info'))
    ends = np.cumsum([len(part) for part in parts])
    if not parts:
        raise ValueError(f'{cfg.filename}: the data of {loader} are a stream, of which nothing can be drawn at random')
    rows = np.random.default_rng(seed).choice(ends[-1], min(num, ends[-1]), replace=False)
    owners = np.searchsorted(ends, rows, side='right')
    starts = ends - [len(part) for part in parts]
    return [parts[owner].get_data_info(int(row - starts[owner])) for row, owner in zip(rows, owners)]


def _pair(info: dict) -> dict[str, str]:
    if 'text' in info:
        return dict(image=info['img_path'], caption=info['text'])
    return dict(image=info['img_paths'][0], caption=info['captions'][0])


def learn_familiarity(
    inferencer: 'ForgeInferencer', num: int = 4000, rate: float = 0.01, seed: int = 0
) -> dict[str, Familiarity]:
    """Learn what a model has seen from its own training data, read without augmentation, as a user's inputs are.

    How far is too far is told by the validation set. A part that the model does not look at is left out.

    Args:
        inferencer: The model.
        num: Pairs of each set, at the most.
        rate: Share of inputs of the validation set's kind that is to be held for unfamiliar, of each part.
        seed: Of the draw of these pairs.

    Returns:
        Of ``'image'`` and ``'text'`` each.

    Raises:
        ValueError: The config has no such data, or too few of them.
        FileNotFoundError: They are missing.
    """
    cfg = inferencer.trained.cfg
    known, held_out = (
        inferencer.statistics(map(_pair, draw_records(cfg, f'{split}_dataloader', num, seed)))
        for split in ('train', 'val')
    )
    try:
        return fit_parts(known, held_out, rate)
    except ValueError as error:
        told = 'the training set (features) and the validation set (held_out) must tell what the model has seen'
        raise ValueError(f'{cfg.filename}: {told}; {error}. --pairs 0 leaves that out') from error


def fit_parts(
    known: dict[str, np.ndarray], held_out: dict[str, np.ndarray], rate: float = 0.01
) -> dict[str, Familiarity]:
    """Familiarity by the statistics of ``'image'`` and ``'text'``; see :func:`fit_familiarity` of each."""
    seen = {part: features for part, features in known.items() if np.ptp(features, 0).any()}
    return {part: fit_familiarity(features, held_out[part], rate) for part, features in seen.items()}


def write_familiarity(parts: dict[str, Familiarity], fingerprint: str, path: str | Path) -> None:
    """Write a file beside a model's weights.

    Args:
        parts: Of :func:`learn_familiarity`.
        fingerprint: Digest of the model's weights.
        path: The file.
    """
    arrays = {
        f'{part}.{name}': np.asarray(value, np.float32)
        for part, fitted in parts.items()
        for name, value in fitted._asdict().items()
    }
    save_file(arrays, path, metadata=dict(schema=_SCHEMA, weights=fingerprint))


def read_familiarity(path: str | Path, fingerprint: str) -> dict[str, Familiarity]:
    """Read such a file.

    Args:
        path: The file.
        fingerprint: Digest of the weights that it must have been made for.

    Raises:
        ValueError: It is damaged, something else, or of other weights.
    """
    try:
        with safe_open(path, 'numpy') as file:
            found = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in list(file.keys())}
    except SafetensorError as error:
        raise ValueError(f'{path}: not a readable safetensors file: {one_line(str(error))}') from error
    if found.get('schema') != _SCHEMA:
        raise ValueError(f'{path}: no such file as mmvlforge export writes ({_SCHEMA})')
    if found.get('weights') != fingerprint:
        raise ValueError(f'{path}: was made for other weights; export the model again')
    parts = dict.fromkeys(name.partition('.')[0] for name in arrays)
    return {part: Familiarity(*(arrays[f'{part}.{name}'] for name in Familiarity._fields)) for part in parts}
