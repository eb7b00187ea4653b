"""Write what retrieval needs of a trained dual encoder or ViLEM: the two encoders and the two projections.

    mmvlforge export CONFIG CHECKPOINT OUT.pth

Beside OUT.pth stands OUT.py, its config: ``mmvlforge test OUT.py OUT.pth`` gives the numbers of the whole model. There
is no cross-attention, no head, no queue and no momentum encoder in it, and nothing proofreads. If the config
retrieves with the momentum encoders, these are what is written.
"""

import copy
from pathlib import Path

from mmengine.config import Config, ConfigDict
from torch import Tensor

from mmvlforge.models.weights.checkpoint_files import meta_state_dict, write_checkpoint
from mmvlforge.models.weights.reading import read_state_dict, require_finite

__all__ = ['export_retriever']

_ENCODERS = ('image_encoder', 'text_encoder')
_FIELDS = (*_ENCODERS, 'image_dims', 'text_dims', 'embed_dims', 'proj_bias', 'data_preprocessor')
_TRAINING = ('num_cross_layers', 'memory_dims', 'shift_dims', 'init_cfg')  # of an encoder


def retriever_config(model: dict) -> ConfigDict:
    """Config of the vanilla dual encoder that a model retrieves with."""
    retriever = ConfigDict(type='DualEncoder', **{name: model[name] for name in _FIELDS if name in model})
    for name in _ENCODERS:
        retriever[name] = ConfigDict({k: v for k, v in retriever[name].items() if k not in _TRAINING})
    return retriever


def retriever_weights(
    source: dict[str, Tensor], prefix: str, target: dict[str, Tensor], where: str
) -> dict[str, Tensor]:
    """The part of a training checkpoint that the retriever has names for.

    Args:
        source: State dict of the whole model.
        prefix: What stands before the names to take: '' or ``'momentum.'``.
        target: State dict of the retriever, on the meta device.
        where: Name of the checkpoint.

    Raises:
        ValueError: A tensor is missing, has another shape, or holds NaN or infinity.
    """
    wrong = [
        name for name, t in target.items() if prefix + name not in source or source[prefix + name].shape != t.shape
    ]
    if wrong:
        raise ValueError(
            f'{where}: not trained with this config: {prefix}{wrong[0]} is missing or has another shape '
            f'({len(wrong)} such tensors of {len(target)})'
        )
    taken = {name: source[prefix + name] for name in target}
    require_finite(taken, where)
    return taken


def export_retriever(cfg: Config, checkpoint: str | Path, out: str | Path) -> list[str]:
    """Write the inference model of a dual encoder or ViLEM, and its config beside it.

    Args:
        cfg: Config that the checkpoint was trained with.
        checkpoint: Checkpoint of that training.
        out: File to write, ``*.pth``; the config is the same name with ``.py``.

    Returns:
        What was done, as lines for people.

    Raises:
        ValueError: The model is no dual encoder, or the checkpoint does not fit it.
        OSError: The checkpoint cannot be read.
    """
    if Path(out).suffix != '.pth':
        raise ValueError(f'{out}: must end in .pth; its config is written beside it as .py')
    if any(name not in cfg.get('model', {}) for name in _ENCODERS):
        raise ValueError(f'{cfg.filename}: has no model with {" and ".join(_ENCODERS)}')
    source = read_state_dict(checkpoint)
    prefix = 'momentum.' if cfg.model.get('momentum_features') else ''
    cfg = copy.deepcopy(cfg)
    cfg.model = retriever_config(cfg.model)
    weights = retriever_weights(source, prefix, meta_state_dict(cfg.model), str(checkpoint))
    write_checkpoint(weights, str(checkpoint), str(out))
    cfg.load_from, cfg.resume = None, False
    for name in ('val_evaluator', 'test_evaluator'):
        if 'metrics' in cfg.get(name, {}):
            cfg[name].metrics = [metric for metric in cfg[name].metrics if metric.type != 'ProofreadingMetric']
    config = Path(out).with_suffix('.py')
    cfg.dump(config)
    return [f'{_millions(weights)} M of {_millions(source)} M values', f'written: {out}', f'written: {config}']


def _millions(state_dict: dict[str, Tensor]) -> str:
    return f'{sum(t.numel() for t in state_dict.values()) / 1e6:.1f}'
