"""What the tools that ask a trained model share: its arguments, and loading it."""

import argparse
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from mmvlforge.models.weights.reading import safe_checkpoints
from mmvlforge.registry import MODELS

__all__ = ['add_model_arguments', 'load_trained']


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``config``, ``checkpoint`` and ``--cfg-options``."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, help='settings over the config')


def load_trained(config: str, checkpoint: str, cfg_options: dict) -> tuple[Config, BaseModel]:
    """Config and model, in evaluation mode, on a GPU if there is one.

    Args:
        config: Config file.
        checkpoint: Checkpoint file.
        cfg_options: Settings over the config.

    Raises:
        ValueError: A file is missing, or the checkpoint is none of this model.
    """
    for path in (config, checkpoint):
        if not Path(path).is_file():
            raise ValueError(f'{path} does not exist')
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmvlforge'))
    model = MODELS.build(cfg.model).eval()
    try:
        with safe_checkpoints():
            load_checkpoint(model, checkpoint, map_location='cpu', strict=True, logger='silent')
    except RuntimeError as error:
        raise ValueError(f'{checkpoint} does not fit the model of {config}: {error}') from error
    return cfg, model.cuda() if torch.cuda.is_available() else model
