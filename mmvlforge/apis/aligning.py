"""A dual encoder fitted to a user's captions in closed form, and written as a model."""

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch import Tensor, nn

from mmvlforge.annotations import guess_reader
from mmvlforge.annotations.values import one_line
from mmvlforge.apis.familiarity import FeatureWatch, fit_parts
from mmvlforge.apis.loading import TrainedModel, load_trained, no_record
from mmvlforge.config_files import told_of_config
from mmvlforge.datasets.nested_datasets import picture_loader
from mmvlforge.datasets.transforms.loading import UnusableImageError
from mmvlforge.evaluation.familiarity import Familiarity
from mmvlforge.evaluation.retrieval import image_text_metrics
from mmvlforge.export.model_card import shown_metrics
from mmvlforge.export.model_folder import check_new, write_folder
from mmvlforge.export.retriever import as_retriever
from mmvlforge.manifest import described_file, new_manifest
from mmvlforge.models.weights.alignment import PENALTIES, Aligned, encode_pairs, fit_ridge, unit, widths
from mmvlforge.registry import DATASETS, MODELS

__all__ = ['Alignment', 'Captions', 'align']

Progress = Callable[[int, int], None]
_FEW = 50  # held-out pictures, of which recall tells nothing any more
_PAIRS = 4000  # as many as an export asks, to know what the model has seen, and as many to know what is too far


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
        left_out: Pictures that cannot be read or have no caption, each with the reason.
    """

    fit: Aligned
    held_out: tuple[dict[str, float], dict[str, float]]
    test: tuple[dict[str, float], dict[str, float]] | None
    left_out: list[str]


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

    Any dual encoder will do: whatever its projections are, linear maps into the space of its text encoder take their
    place. The model that is written tells what is unlike the pictures and captions, as an exported one does: half of
    them say what is familiar, the others, which are as new to the encoders, how far is too far. It does not where they
    are too few, and a warning says so.

    Args:
        captions: What to fit it to.
        out: Folder for the model, as ``mmvlforge export`` writes it; it must not hold anything yet.
        model: As in :func:`mmvlforge.apis.loading.load_trained`. What is fitted is the model of its config's setting
            ``aligned``, ``dict(model=..., test_pipeline=..., ...)``, which take the place of its own, or itself.
        test: Measured before and after too.
        penalties: As in RidgeAlignment; at least two.
        holdout: Likewise.
        seed: Likewise.
        device: Such as ``'cuda'``; an accelerator if there is one by default.
        progress: Called with how many pictures are read, and then encoded for the fit, of twice as many as there are.

    Raises:
        ValueError: The model is no dual encoder with a test pipeline, the captions cannot be read, there are too few
            of them, or a picture of the test file cannot be read: a test leaves none out.
    """
    if seed < 0:
        raise ValueError(f'the seed must not be negative: {seed}')
    if len(penalties) < 2:
        raise ValueError(f'penalties: give two at least to choose from, got {penalties}')
    check_new(out)
    before = load_trained(model, device=device)
    if 'test_dataloader' not in before.cfg or not hasattr(before.model, 'encode_images'):
        raise ValueError(f'{before.config}: a {type(before.model).__name__} is no dual encoder with a test pipeline')
    if before.model.momentum_features:
        raise ValueError(f'{before.config}: retrieves with momentum encoders; export it with --retriever, align that')
    cfg = copy.deepcopy(before.cfg)
    aligned = cfg.pop('aligned', None)
    if aligned is None:
        after = copy.deepcopy(before.model)
    else:
        for name, value in aligned.items():
            cfg[name] = value
        cfg.test_dataloader.dataset.pipeline = aligned.test_pipeline
        after = _built(cfg.model, before)
    cfg.model = _with_maps(after, cfg.model)
    # Before anything is encoded, which may take long.
    if test is not None and (unusable := [fault for fault in _faults(cfg, test) if fault]):
        raise ValueError(
            f'{test.path}: a test leaves no picture out, and {len(unusable)} cannot be used, the first: {unusable[0]}'
        )
    faults = _faults(cfg, captions, progress)
    usable = [row for row, fault in enumerate(faults) if not fault]
    left_out = [fault for fault in faults if fault]
    if not usable:
        raise ValueError(f'{captions.path}: of {len(faults)} pictures none can be used, the first: {left_out[0]}')
    loader = _loader(cfg, captions, usable)
    watch = _Watch(after, loader, seed, lambda done, total: progress(len(faults) + done, len(faults) + total))
    fit = fit_ridge(after, loader, penalties, holdout, seed, watch)
    held = _loader(before.cfg, captions, [usable[row] for row in fit.held_out])
    held_out = measure(before.model, held), fit.scores[fit.penalty]
    if len(fit.held_out) < _FEW:
        warnings.warn(
            f'{captions.path}: {len(fit.held_out)} pictures are too few to choose a penalty by, or to tell what the '
            f'fit is worth; some {10 * _FEW} with captions are wanted',
            stacklevel=2,
        )
    tests = None
    if test is not None:
        tests = measure(before.model, _loader(before.cfg, test)), measure(after, _loader(cfg, test))
    try:
        familiarity = watch.learnt()
    except ValueError as error:
        familiarity = {}
        told = (
            f'{captions.path}: the model will not tell what is unlike its pictures, of which one half is held against'
        )
        warnings.warn(f'{told} the other: {error}', stacklevel=2)
    _write(cfg, before, after, captions, fit, familiarity, Path(out))
    return Alignment(fit, held_out, tests, left_out)


def _built(model_cfg: ConfigDict, like: TrainedModel) -> Any:
    with told_of_config(like.config):
        net = MODELS.build(model_cfg)
        with no_record():
            net.init_weights()
    return net.to(next(like.model.parameters()).device).eval()


def _with_maps(net: Any, model_cfg: ConfigDict) -> ConfigDict:
    """Put new projections of the widths that an alignment fills into a dual encoder; returns its config with them."""
    image_dims, size = widths(net)
    device = next(net.parameters()).device
    net.image_proj, net.text_proj = (nn.Linear(dims, size, device=device) for dims in (image_dims, size))
    net.embed_dims = size
    return ConfigDict(model_cfg, image_dims=image_dims, text_dims=size, embed_dims=size, proj_bias=True)


class _Watch:
    """Statistics of what the encoders make of ``2 * _PAIRS`` pictures at the most; called as a fit's ``progress``."""

    def __init__(self, net: Any, loader: Any, seed: int, progress: Progress) -> None:
        self.watch, self.progress = FeatureWatch(net), progress
        batches = np.random.default_rng(seed).permutation(len(loader))[: 2 * _PAIRS // loader.batch_size]
        self.seen: dict[int, dict[str, np.ndarray]] = dict.fromkeys(batches.tolist(), {})
        self.batch = 0

    def __call__(self, done: int, total: int) -> None:
        found = self.watch.take()
        if self.batch in self.seen:
            self.seen[self.batch] = found
        self.batch += 1
        self.progress(done, total)

    def learnt(self) -> dict[str, Familiarity]:
        """What the model has seen; raises ValueError where there is too little of it."""
        rows = {part: np.concatenate([found[part] for found in self.seen.values()]) for part in ('image', 'text')}
        known = {part: found[: len(found) // 2] for part, found in rows.items()}
        return fit_parts(known, {part: found[len(found) // 2 :] for part, found in rows.items()})


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


def _faults(cfg: Config, captions: Captions, progress: Progress = lambda done, total: None) -> list[str]:
    """Of each picture of a file why it cannot be used, '' if it can; all are read."""
    with told_of_config(cfg.filename):
        dataset = DATASETS.build(_dataset(cfg, captions))
    load = picture_loader(dataset)

    def fault(row: int) -> str:
        info = dataset.get_data_info(row)
        if not info['captions']:
            return f'{one_line(info["img_paths"][0])}: no caption'
        try:
            load.transform(info)
        except UnusableImageError as error:
            return one_line(str(error))
        return ''

    found: list[str] = []
    with ThreadPoolExecutor() as pool:
        for one in pool.map(fault, range(len(dataset))):
            found.append(one)
            progress(len(found), 2 * len(dataset))
    return found


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
    device = next(net.parameters()).device
    owner = [row for row, captions in enumerate(texts) for _ in captions]
    found = net.image_proj(torch.cat(images).to(device)), net.text_proj(torch.cat(texts).to(device))
    return image_text_metrics(unit(found[0]), unit(found[1]), owner)


def _write(
    cfg: Config,
    before: TrainedModel,
    net: Any,
    captions: Captions,
    fit: Aligned,
    familiarity: dict[str, Familiarity],
    out: Path,
) -> None:
    cfg.pop('train_dataloader', None)
    cfg.trained_on = str(captions.path)
    dataset = _dataset(cfg, captions)
    for name in ('val_dataloader', 'test_dataloader'):
        if name in cfg:
            cfg[name].dataset = copy.deepcopy(dataset)
    cfg, state = as_retriever(cfg, net.state_dict())
    made_from = dict(captions=described_file(captions.path), model=before.describe(), penalty=fit.penalty)
    began = [f'{before.describe()["name"]}, fitted by ridge regression, penalty {fit.penalty:g}']
    held_out = [f'{len(fit.held_out)} pictures of {one_line(Path(captions.path).name)} that were held out']
    figures = [dict(metrics=shown_metrics(fit.scores[fit.penalty]), data=held_out)]
    told = dict(began=began, figures=figures)
    write_folder(cfg, 'aligned', state, out, new_manifest('align', **made_from), familiarity, told=told)
