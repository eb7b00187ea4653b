"""Configs by name, and trained models: loaded strictly, and without running what a file may carry."""

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from torch import Tensor, nn

import mmvlforge
from mmvlforge.models.weights.reading import read_state_dict
from mmvlforge.registry import MODELS

__all__ = ['TrainedModel', 'config_folder', 'find_config', 'find_model', 'load_config', 'load_strictly', 'load_trained']

SHOWN = 10  # names of each kind in an error
_WEIGHTS = ('*.safetensors', '*.pth')


def config_folder() -> Path:
    """The folder of our configs: inside an installed package, or at the root of a checkout."""
    package = Path(mmvlforge.__file__).parent
    inside = package / '.mim' / 'configs'
    return inside if inside.is_dir() else package.parent / 'configs'


def find_config(name: str | Path) -> str:
    """The file of a config.

    Args:
        name: A path, or the name of one of ours: ``dgm4/dca_imq``, ``configs/dgm4/dca_imq.py`` from anywhere, or
            ``mmvlforge::dgm4/dca_imq.py``.

    Raises:
        ValueError: There is none; the message names the ones with a similar name.
    """
    if Path(name).is_file():
        return str(name)
    own = str(name).removeprefix('mmvlforge::').removeprefix('configs/').removesuffix('.py')
    folder = config_folder()
    path = folder / f'{own}.py'
    if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
        return str(path)
    names = sorted(
        file.relative_to(folder).with_suffix('').as_posix()
        for file in folder.glob('*/*.py')
        if not file.is_relative_to(folder / '_base_')
    )
    # By the last part too: who forgot the folder finds it again.
    short = {n.rpartition('/')[2]: n for n in names}
    close = difflib.get_close_matches(own, names, 3) or [
        short[n] for n in difflib.get_close_matches(own.rpartition('/')[2], short, 3)
    ]
    hint = f'did you mean {", ".join(close)}?' if close else f'give a file, or one of {", ".join(names[:3])}, ...'
    raise ValueError(f'config {str(name)!r} does not exist; {hint}')


def load_config(name: str | Path, cfg_options: dict | None = None) -> Config:
    """Read a config, put settings over it, and make its scope the default one.

    Args:
        name: As in :func:`find_config`.
        cfg_options: ``{'model.neck.drop': 0.0}`` and the like.

    Raises:
        ValueError: It does not exist, is no config, or a setting does not fit it.
    """
    path = find_config(name)
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is code: anything can go wrong in it
        raise ValueError(f'{path}: cannot be read as a config: {type(error).__name__}: {error}') from error
    try:
        cfg.merge_from_dict(cfg_options or {})
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f'{path}: the settings {cfg_options} do not fit this config: {error}') from error
    init_default_scope(cfg.get('default_scope', 'mmvlforge'))
    return cfg


@contextmanager
def told_of_config(config: str | Path) -> Iterator[None]:
    """Tell what cannot be built from a config as a mistake in it: a wrong name, type or argument.

    Raises:
        ValueError: Whatever was raised inside, but for errors that have their own message.
    """
    try:
        yield
    except (TypeError, KeyError, AttributeError, IndexError, AssertionError, ImportError, ZeroDivisionError) as error:
        raise ValueError(f'{config}: cannot be built: {type(error).__name__}: {error}') from error


def find_model(model: str | Path, checkpoint: str | Path | None = None) -> tuple[str, str]:
    """Config and checkpoint that a model reference means.

    Args:
        model: A config as in :func:`find_config`, or a folder: one that holds a config and its weights, or the work dir
            of a training, whose newest checkpoint is taken.
        checkpoint: Its checkpoint; not with a folder.

    Raises:
        ValueError: Something is missing, or more than one file could be meant.
    """
    folder = Path(model)
    if not folder.is_dir():
        if checkpoint is None:
            raise ValueError(f'model {str(model)!r}: is no folder; give a folder, or a config and its checkpoint')
        return find_config(model), _existing(checkpoint)
    if checkpoint is not None:
        raise ValueError(f'model {str(model)!r}: is a folder, which has its own weights; leave {checkpoint} out')
    config = _only(sorted(folder.glob('*.py')), folder, 'a config (*.py)')
    pointer = folder / 'last_checkpoint'
    if pointer.is_file():
        last = Path(pointer.read_text().strip())
        # The work dir may have been moved since.
        return str(config), _existing(last if last.is_file() else folder / last.name)
    weights = [path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern))]
    return str(config), str(_only(weights, folder, f'weights ({" or ".join(_WEIGHTS)})'))


def _existing(checkpoint: str | Path) -> str:
    if not Path(checkpoint).is_file():
        raise ValueError(f'checkpoint {str(checkpoint)!r} does not exist')
    return str(checkpoint)


def _only(files: list[Path], folder: Path, what: str) -> Path:
    if len(files) != 1:
        found = ', '.join(path.name for path in files) or 'none'
        raise ValueError(f'{folder}: must hold {what}, one and no more; it has {found}')
    return files[0]


class TrainedModel:
    """A model with the config that describes it.

    Args:
        cfg: The config.
        model: The model, weights loaded.
        config: Where the config was read from.
        checkpoint: Where the weights were read from.
    """

    def __init__(self, cfg: Config, model: BaseModel, config: str, checkpoint: str) -> None:
        self.cfg, self.model, self.config, self.checkpoint = cfg, model, config, checkpoint

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all weights by name: equal for equal weights, whatever file they come from."""
        digest = hashlib.blake2b(digest_size=16)
        for name, value in sorted(self.model.state_dict().items()):
            digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def describe(self) -> dict:
        """Name, fingerprint and training set, as results carry them; null where the config does not say."""
        dataset = self.cfg.get('train_dataloader', {}).get('dataset', {})
        source = ''.join(dataset.get(key, '') for key in ('data_root', 'ann_file'))
        return dict(
            name=Path(self.config).stem,
            fingerprint=self.fingerprint,
            trained_on=self.cfg.get('trained_on') or source or None,
        )


def load_trained(
    model: str | Path,
    checkpoint: str | Path | None = None,
    cfg_options: dict | None = None,
    device: str | None = None,
) -> TrainedModel:
    """A trained model, in evaluation mode.

    Args:
        model: As in :func:`find_model`.
        checkpoint: Likewise.
        cfg_options: Settings over the config.
        device: Such as ``'cuda'``; an accelerator if there is one by default.

    Raises:
        ValueError: A file is missing or unreadable, the checkpoint does not fit the model, or it holds NaN or infinity.
    """
    config, checkpoint = find_model(model, checkpoint)
    cfg = load_config(config, cfg_options)
    if 'model' not in cfg:
        raise ValueError(f'{config}: has no model')
    with told_of_config(config):
        net = MODELS.build(cfg.model)
    load_strictly(net, read_state_dict(checkpoint), checkpoint, config)
    return TrainedModel(cfg, net.to(device or get_device()).eval(), config, checkpoint)


def load_strictly(model: nn.Module, state_dict: Mapping[str, Tensor], checkpoint: str, config: str) -> None:
    """Load weights that must be all of the model's and nothing else.

    Raises:
        ValueError: A key is missing, is none of the model's, has another shape, or holds NaN or infinity; the first ten
            of each kind are named.
    """
    own = model.state_dict()
    faults = dict(
        missing=[name for name in own if name not in state_dict],
        unexpected=[name for name in state_dict if name not in own],
    )
    faults['of another shape'] = [
        f'{name} {tuple(state_dict[name].shape)}, the model has {tuple(value.shape)}'
        for name, value in own.items()
        if name in state_dict and state_dict[name].shape != value.shape
    ]
    if any(faults.values()):
        told = '; '.join(f'{len(names)} {kind}: {_first(names)}' for kind, names in faults.items() if names)
        raise ValueError(f'{checkpoint} does not fit the model of {config}: {told}')
    bad = [name for name, value in state_dict.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        raise ValueError(f'{checkpoint}: {len(bad)} tensors hold NaN or infinity: {_first(bad)}')
    model.load_state_dict(state_dict)


def _first(names: list[str]) -> str:
    return ', '.join(names[:SHOWN]) + (', ...' if len(names) > SHOWN else '')
