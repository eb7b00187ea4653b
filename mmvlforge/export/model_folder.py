"""A trained model as a folder that needs nothing beside it.

    mmvlforge export MODEL OUT

It holds the config (one file, nothing inherited), the weights (safetensors), the tokenizer and other folders that the
model reads, ``familiarity.safetensors`` (what the model has seen, so that it gives no firm answer to what it has not),
of a detector ``calibration.json`` (what its scores are worth), ``README.md`` (its card), and ``manifest.json`` (what
all was made from). Whatever takes a model takes the folder, from anywhere.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config
from safetensors.torch import save_file
from torch import Tensor

from mmvlforge.annotations.json_files import write_json
from mmvlforge.apis.calibration import (
    CALIBRATION,
    LearntCalibration,
    learn_calibration,
    told_of_calibration,
    write_calibration,
)
from mmvlforge.apis.familiarity import FAMILIARITY, learn_familiarity, write_familiarity
from mmvlforge.apis.loading import find_model, load_trained
from mmvlforge.apis.manipulation import ManipulationInferencer
from mmvlforge.apis.retrieval import RetrievalInferencer
from mmvlforge.config_files import load_config
from mmvlforge.evaluation.familiarity import Familiarity
from mmvlforge.export.model_card import beginnings, read_figures, write_card
from mmvlforge.export.onnx import export_onnx
from mmvlforge.export.retriever import as_retriever
from mmvlforge.manifest import MANIFEST, described_config, new_manifest, weights_fingerprint
from mmvlforge.registry import MODELS
from mmvlforge.starter_files import starter_folder

__all__ = ['check_new', 'export_model', 'write_folder']

_HERE = '{{ fileDirname }}'  # MMEngine puts the config's folder in its place
_HF_FILES = ('tokenizer.json', 'vocab.txt', 'vocab.json', 'config.json')


def export_model(
    model: str | Path,
    checkpoint: str | Path | None,
    out: str | Path,
    retriever: bool = False,
    pairs: int | None = 4000,
    cfg_options: dict | None = None,
    false_alarms: float = 0.05,
    metrics: Sequence[str | Path] = (),
    onnx: bool = False,
) -> list[str]:
    """Write a model's folder.

    Args:
        model: As in :func:`mmvlforge.apis.loading.find_model`.
        checkpoint: Likewise.
        out: The folder; it must not hold anything yet.
        retriever: Write of a dual encoder or ViLEM only what retrieval needs, see :mod:`mmvlforge.export.retriever`.
        pairs: So many training pairs, at the most, and as many validation pairs tell what the model has seen. None
            leaves that out: the model then answers whatever it is asked as firmly as what it knows, by raw scores.
        cfg_options: Settings over the config.
        false_alarms: Share of real pairs that a detector may call fake, see :mod:`mmvlforge.apis.calibration`.
        metrics: Files that ``test --out`` wrote for this very model: the figures of its card.
        onnx: Write it for onnxruntime too, see :mod:`mmvlforge.export.onnx`.

    Returns:
        What was done, as lines for people.

    Raises:
        ValueError: The folder is in use, the checkpoint does not fit the model, or the data do not do.
        FileNotFoundError: The data are missing.
    """
    check_new(out)
    config, weights = find_model(model, checkpoint)
    cfg = load_config(config, cfg_options)
    kind = cfg.get('model', {}).get('type', '')
    retrieves = hasattr(MODELS.get(kind), 'encode_images')
    if retriever and not retrieves:
        raise ValueError(f'{config}: a model of type {kind!r} is no dual encoder, of which a part would retrieve')
    familiarity, calibration = {}, None
    if pairs is None:
        trained = load_trained(config, weights, cfg_options)
    else:
        asks = RetrievalInferencer if retrieves else ManipulationInferencer
        inferencer = asks(config, weights, cfg_options=cfg_options)
        trained, familiarity = inferencer.trained, learn_familiarity(inferencer, pairs)
        if isinstance(inferencer, ManipulationInferencer):
            calibration = learn_calibration(inferencer, pairs, false_alarms)
    figures = read_figures(metrics, trained.fingerprint)
    began = beginnings(cfg)
    state = whole = trained.model.state_dict()
    described = described_config(cfg, cfg_options)
    if retriever:
        cfg, state = as_retriever(cfg, whole)
    told = new_manifest('export', config=described, weights=dict(file=trained.checkpoint), pairs=pairs)
    write_folder(cfg, Path(config).stem, state, out, told, familiarity, calibration, dict(began=began, figures=figures))
    millions = [sum(tensor.numel() for tensor in part.values()) / 1e6 for part in (state, whole)]
    learnt = told_of_calibration(calibration) if calibration else []
    lines = export_onnx((RetrievalInferencer if retrieves else ManipulationInferencer)(out), out) if onnx else []
    return ['{:.1f} M of {:.1f} M values'.format(*millions), *learnt, *lines, f'written: {out}']


def check_new(out: str | Path) -> None:
    """Raise ValueError if something is at a path where a folder is to be written, OSError if nothing can be."""
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix='.export_', dir=out.parent):
        pass
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f'{out}: exists; give a folder that holds nothing yet')


def write_folder(
    cfg: Config,
    name: str,
    state: Mapping[str, Tensor],
    out: str | Path,
    manifest: dict[str, Any],
    familiarity: dict[str, Familiarity] | None = None,
    calibration: LearntCalibration | None = None,
    told: dict[str, Any] | None = None,
) -> None:
    """Write config and weights as a folder, whole or not at all.

    Args:
        cfg: The config; it is changed.
        name: That of its file.
        state: The weights.
        out: The folder, which holds nothing yet.
        manifest: What all was made from; the weights' fingerprint is added.
        familiarity: What the model has seen, as from ``learn_familiarity``.
        calibration: What its scores are worth, as from ``learn_calibration``.
        told: What its card is to say of how it ``began`` and of its ``figures``; see ``write_card``.
    """
    out = Path(out)
    cfg.load_from, cfg.resume = None, False
    for key in ('work_dir', 'ready', 'aligned'):  # the last two need the starts, which are left out
        cfg.pop(key, None)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix='.export_', dir=out.parent) as unfinished:
        folder = Path(unfinished, 'model')
        folder.mkdir()
        cfg = Config(_own_folders(_without_starts(cfg.to_dict()), folder), filename=cfg.filename)
        cfg.dump(folder / f'{name}.py')
        # Each a tensor of its own: the format has no views.
        own = {name: tensor.cpu().clone().contiguous() for name, tensor in state.items()}
        save_file(own, folder / 'model.safetensors')
        fingerprint = weights_fingerprint(own)
        if familiarity:
            write_familiarity(familiarity, fingerprint, folder / FAMILIARITY)
        if calibration:
            write_calibration(calibration, fingerprint, folder / CALIBRATION)
        trained = load_trained(folder)
        facts = dict(
            name=name,
            type=type(trained.model).__name__,
            kind='retriever' if hasattr(trained.model, 'encode_images') else 'detector',
            values=sum(tensor.numel() for tensor in own.values()) / 1e6,
            trained_on=trained.describe()['trained_on'],
            began=[],
            figures=[],
            calibration=told_of_calibration(calibration) if calibration else [],
            familiar=bool(familiarity),
            warnings=list(cfg.get('model_warnings', ())),
            fingerprint=fingerprint,
        )
        write_card(folder, {**facts, **(told or {})})
        weights = dict(manifest.get('weights', {}), fingerprint=fingerprint)
        write_json(folder / f'{MANIFEST}.json', dict(manifest, weights=weights))
        folder.replace(out)


def _without_starts(value: Any) -> Any:
    """Settings without those of how a training begins, whose files are no longer needed."""
    if isinstance(value, dict):
        return {key: _without_starts(inner) for key, inner in value.items() if key != 'init_cfg'}
    return [_without_starts(inner) for inner in value] if isinstance(value, list) else value


def _own_folders(settings: dict, out: Path) -> dict:
    """Settings that name, in place of tokenizers' and language models' folders, copies in the model's own."""
    copies: dict[str, str] = {}
    for path in _strings(settings):
        folder = starter_folder(path)
        if path not in copies and any(Path(folder, name).is_file() for name in _HF_FILES):
            name = Path(path.rpartition(':')[2]).name
            while (out / name).exists():
                name += '_'
            # Of starter weights the tokenizer is meant; the weights are among the model's.
            left_out = shutil.ignore_patterns('*.safetensors') if folder != path else None
            shutil.copytree(folder, out / name, ignore=left_out)
            copies[path] = f'{_HERE}/{name}'
    return _replaced(settings, copies)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _replaced(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(inner, names) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(inner, names) for inner in value)
    return names.get(value, value) if isinstance(value, str) else value
