"""A dual encoder fitted to a user's captions in closed form, and written as a model."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch import Tensor

from mmvlforge.annotations import guess_reader
from mmvlforge.apis.loading import TrainedModel, load_trained, no_record
from mmvlforge.config_files import told_of_config
from mmvlforge.evaluation.retrieval import image_text_metrics
from mmvlforge.export.model_folder import check_new, write_folder
from mmvlforge.export.retriever import as_retriever
from mmvlforge.manifest import described_file, new_manifest
from mmvlforge.models.weights.alignment import PENALTIES, Aligned, encode_pairs, fit_ridge, unit
from mmvlforge.registry import MODELS

__all__ = ['Alignment', 'Captions', 'align']

Progress = Callable[[int, int], None]


class Captions(NamedTuple):
    """A caption file.

    Attributes:
        path: The file.
        images: Folder of its pictures; None for that of the file.
        reader: Its format and settings, as in :func:`mmvlforge.annotations.read_captions`; the format is guessed where
            it is missing.
    """

    path: str
    images: str | None = None
    reader: Mapping[str, Any] = {}


class Alignment(NamedTuple):
    """What was done.

    Attributes:
        fit: The fit.
        held_out: Metrics on the pictures that were held out, of the model before and after; the latter of a fit that
            has not seen them.
        test: Metrics on the test file before and after, None without one.
    """

    fit: Aligned
    held_out: tuple[dict[str, float], dict[str, float]]
    test: tuple[dict[str, float], dict[str, float]] | None


def align(
    captions: Captions,
    out: str | Path,
    model: str | Path = 'starter',
    test: Captions | None = None,
    penalties: Sequence[float] = PENALTIES,
    holdout: float = 0.1,
    seed: int = 0,
    device: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Alignment:
    """Fit a dual encoder's projections by ridge regression; see RidgeAlignment.

    Args:
        captions: What to fit it to.
        out: Folder for the model, as ``mmvlforge export`` writes it; it must not hold anything yet.
        model: As in :func:`mmvlforge.apis.loading.load_trained`. What is fitted is its config's ``aligned_model``, or
            itself.
        test: Measured before and after too.
        penalties: As in RidgeAlignment; at least two.
        holdout: Likewise.
        seed: Likewise.
        device: Such as ``'cuda'``; an accelerator if there is one by default.
        progress: Called with how many of how many pictures are encoded for the fit.

    Raises:
        ValueError: The model is no dual encoder with a test pipeline, the captions cannot be read, or there are too
            few of them.
    """
    if len(penalties) < 2:
        raise ValueError(f'penalties: give two at least to choose from, got {penalties}')
    check_new(out)
    before = load_trained(model, device=device)
    if 'test_dataloader' not in before.cfg or not hasattr(before.model, 'encode_images'):
        raise ValueError(f'{before.config}: a {type(before.model).__name__} is no dual encoder with a test pipeline')
    if before.model.momentum_features:
        raise ValueError(f'{before.config}: retrieves with momentum encoders; export it with --retriever, align that')
    model_cfg = before.cfg.get('aligned_model')
    if model_cfg is None:
        model_cfg, after = before.cfg.model, copy.deepcopy(before.model)
    else:
        after = _built(model_cfg, before)
    loader = _loader(before.cfg, captions)
    fit = fit_ridge(after, loader, penalties, holdout, seed, progress)
    held = _loader(before.cfg, captions, fit.held_out)
    held_out = measure(before.model, held), fit.scores[fit.penalty]
    tests = None
    if test is not None:
        tests = measure(before.model, _loader(before.cfg, test)), measure(after, _loader(before.cfg, test))
    _write(before, model_cfg, after, captions, fit, Path(out))
    return Alignment(fit, held_out, tests)


def _built(model_cfg: ConfigDict, like: TrainedModel) -> Any:
    with told_of_config(like.config):
        net = MODELS.build(model_cfg)
        with no_record():
            net.init_weights()
    return net.to(next(like.model.parameters()).device).eval()


def _dataset(cfg: Config, captions: Captions) -> ConfigDict:
    """The test set of a config with other files."""
    reader = dict(captions.reader)
    if 'type' not in reader:
        reader['type'] = guess_reader(captions.path)
    folder = captions.images or str(Path(captions.path).parent)
    dataset = copy.deepcopy(cfg.test_dataloader.dataset)
    # Absolute, so that the written config holds wherever it is read from.
    dataset.data_root, dataset.ann_file = '', str(Path(captions.path).absolute())
    dataset.reader = reader  # update() would keep settings of another one
    dataset.data_prefix = dict(img_path=str(Path(folder).absolute()))
    return dataset


def _loader(cfg: Config, captions: Captions, indices: list[int] | None = None) -> Any:
    dataset = _dataset(cfg, captions)
    if indices is not None:
        dataset.indices = indices
    loader = copy.deepcopy(cfg.test_dataloader)
    loader.dataset = dataset
    with told_of_config(cfg.filename):
        return Runner.build_dataloader(loader)


@torch.no_grad()
def measure(net: Any, loader: Any) -> dict[str, float]:
    """Recall of a dual encoder on a loader's pictures and captions, see ``image_text_metrics``."""
    images: list[Tensor] = []
    texts: list[Tensor] = []
    for features, captions, _ in encode_pairs(net, loader):
        images.append(features)
        texts += captions
    device = net.image_proj.weight.device
    owner = [row for row, captions in enumerate(texts) for _ in captions]
    found = net.image_proj(torch.cat(images).to(device)), net.text_proj(torch.cat(texts).to(device))
    return image_text_metrics(unit(found[0]), unit(found[1]), owner)


def _write(before: TrainedModel, model_cfg: ConfigDict, net: Any, captions: Captions, fit: Aligned, out: Path) -> None:
    cfg = copy.deepcopy(before.cfg)
    for key in ('ready', 'aligned_model', 'train_dataloader'):
        cfg.pop(key, None)
    cfg.model, cfg.trained_on = model_cfg, str(captions.path)
    for name in ('val_dataloader', 'test_dataloader'):
        if name in cfg:
            cfg[name].dataset = _dataset(before.cfg, captions)
    cfg, state = as_retriever(cfg, net.state_dict())
    made_from = dict(captions=described_file(captions.path), model=before.describe(), penalty=fit.penalty)
    write_folder(cfg, 'aligned', state, out, new_manifest('align', **made_from))
