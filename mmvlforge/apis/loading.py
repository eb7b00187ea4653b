"""Trained models: loaded strictly, and without running what a file may carry."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmvlforge.apis.calibration import CALIBRATION, LearntCalibration, read_calibration
from mmvlforge.apis.familiarity import FAMILIARITY, read_familiarity
from mmvlforge.config_files import find_config, load_config, told_of_config
from mmvlforge.evaluation.familiarity import Familiarity
from mmvlforge.manifest import weights_fingerprint
from mmvlforge.models.momentum_copy import is_obsolete
from mmvlforge.models.weights.reading import first_of, read_state_dict, require_finite
from mmvlforge.registry import MODELS

__all__ = [
    'NAMED',
    'TrainedModel',
    'check_fit',
    'existing',
    'find_model',
    'load_strictly',
    'load_trained',
    'newest_checkpoint',
    'no_record',
]

NAMED = dict(starter='starter/starter_conse')  # models by a name of their own
_WEIGHTS = ('*.safetensors', '*.pth')


def find_model(model: str | Path, checkpoint: str | Path | None = None) -> tuple[str, str | None]:
    """Config and checkpoint that a model reference means; None for a config that is ``ready`` without one.

    Args:
        model: A config as in :func:`find_config`, or a folder: one that holds a config and its weights, or the work dir
            of a training, whose newest checkpoint is taken. ``'starter'`` is a config.
        checkpoint: Its checkpoint; not with a folder. A config with ``ready = True`` needs none: all of its weights
            come from ``init_cfg``.

    Raises:
        ValueError: Something is missing, or more than one file could be meant.
    """
    model = NAMED.get(str(model), model)
    folder = Path(model)
    if not folder.is_dir():
        if checkpoint is None:
            if _is_ready(model):
                return find_config(model), None
            raise ValueError(f'model {str(model)!r}: is no folder; give a folder, or a config and its checkpoint')
        return find_config(model), existing(checkpoint)
    if checkpoint is not None:
        raise ValueError(f'model {str(model)!r}: is a folder, which has its own weights; leave {checkpoint} out')
    config = _only(sorted(folder.glob('*.py')), folder, 'a config (*.py)')
    newest = newest_checkpoint(folder)
    if newest:
        return str(config), existing(newest, f'{folder / "last_checkpoint"}: checkpoint')
    weights = [path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern)) if path.name != FAMILIARITY]
    return str(config), str(_only(weights, folder, f'weights ({" or ".join(_WEIGHTS)})'))


def newest_checkpoint(work_dir: str | Path) -> str | None:
    """The checkpoint that a work dir names as its newest, None if it has none yet.

    MMEngine writes an absolute path. What counts is the file of that name in this folder: it may have been moved, or be
    a copy of one that still is where it was.
    """
    name = named_checkpoint(Path(work_dir, 'last_checkpoint'))
    return str(Path(work_dir, name)) if name else None


def named_checkpoint(pointer: Path) -> str:
    """The name in a file ``last_checkpoint``, '' if there is none or it is none."""
    text = pointer.read_text(errors='replace').strip() if pointer.is_file() else ''
    return Path(text).name if text.isprintable() else ''


def existing(checkpoint: str | Path, what: str = 'checkpoint') -> str:
    """The path of a file. Raises ValueError, which calls it ``what``, if there is none."""
    if not Path(checkpoint).is_file():
        raise ValueError(f'{what} {str(checkpoint)!r} does not exist')
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
        return weights_fingerprint(self.model.state_dict())

    @cached_property
    def familiarity(self) -> dict[str, Familiarity]:
        """What it has seen, of ``'image'`` and ``'text'``; empty where no file beside its weights says so.

        Raises:
            ValueError: The file is damaged, or of other weights.
        """
        path = self._beside(FAMILIARITY)
        return read_familiarity(path, self.fingerprint) if path else {}

    @cached_property
    def calibration(self) -> LearntCalibration | None:
        """What its scores are worth; None where no file beside its weights says so.

        Raises:
            ValueError: The file is damaged, or of other weights.
        """
        path = self._beside(CALIBRATION)
        return read_calibration(path, self.fingerprint) if path else None

    def _beside(self, name: str) -> Path | None:
        """A file beside the weights; None if there is none."""
        weights = Path(self.checkpoint)
        path = weights.with_name(name)
        return path if weights.is_file() and path.is_file() else None

    def describe(self) -> dict:
        """Name, fingerprint and training set, as results carry them; null where the config does not say."""
        dataset = (self.cfg.get('train_dataloader') or {}).get('dataset', {})
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
    config, weights = find_model(model, checkpoint)
    cfg = load_config(config, cfg_options)
    if 'model' not in cfg:
        raise ValueError(f'{config}: has no model')
    with told_of_config(config):
        net = MODELS.build(cfg.model)
    if weights is None:
        with no_record():
            net.init_weights()
    else:
        load_strictly(net, read_state_dict(weights), weights, config)
    try:
        net = net.to(device or get_device())
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f'device {device!r} cannot be used: {str(error).splitlines()[0]}') from error
    return TrainedModel(cfg, net.eval(), config, weights or 'init_cfg')


@contextmanager
def no_record() -> Iterator[None]:
    """Keep MMEngine from telling how each parameter began: in a training it stands in the log."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _is_ready(model: str | Path) -> bool:
    try:
        config = find_config(model)
    except ValueError:  # find_model says what a model can be
        return False
    return bool(load_config(config).get('ready'))


def check_fit(own: Mapping[str, Tensor], state_dict: Mapping[str, Tensor], checkpoint: str, config: str) -> None:
    """Raise ValueError if weights are not all of a model's and nothing else; the first ten of each kind are named.

    What :func:`mmvlforge.models.momentum_copy.is_obsolete` knows may be there too.

    Args:
        own: State dict of the model.
        state_dict: The weights.
        checkpoint: Where they were read from.
        config: The config of the model.
    """
    faults = dict(
        missing=[name for name in own if name not in state_dict],
        unexpected=[name for name in state_dict if name not in own and not is_obsolete(name)],
    )
    faults['of another shape'] = [
        f'{name} {tuple(state_dict[name].shape)}, the model has {tuple(value.shape)}'
        for name, value in own.items()
        if name in state_dict and state_dict[name].shape != value.shape
    ]
    if any(faults.values()):
        told = '; '.join(f'{len(names)} {kind}: {first_of(names)}' for kind, names in faults.items() if names)
        raise ValueError(f'{checkpoint} does not fit the model of {config}: {told}')


def load_strictly(model: nn.Module, state_dict: Mapping[str, Tensor], checkpoint: str, config: str) -> None:
    """Load weights that must be all of the model's and nothing else.

    Raises:
        ValueError: A key is missing, is none of the model's, has another shape, or holds NaN or infinity; the first ten
            of each kind are named.
    """
    check_fit(model.state_dict(), state_dict, checkpoint, config)
    require_finite(state_dict, checkpoint)
    model.load_state_dict(state_dict)
