"""Write what retrieval needs of a trained dual encoder or ViLEM: the two encoders and the two projections.

Usage: python tools/weights/export_retriever.py CONFIG CHECKPOINT OUT.pth

Beside OUT.pth stands OUT.py, its config: python tools/test.py OUT.py OUT.pth gives the numbers of the whole model.
There is no cross-attention, no head, no queue and no momentum encoder in it, and nothing proofreads. If the config
retrieves with the momentum encoders, these are what is written.
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import ConfigDict
from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmvlforge.models.weights.checkpoint_files import meta_state_dict, read_config, write_checkpoint
from mmvlforge.models.weights.reading import safe_checkpoints

_FIELDS = ('image_encoder', 'text_encoder', 'image_dims', 'text_dims', 'embed_dims', 'data_preprocessor')
_TRAINING = ('num_cross_layers', 'memory_dims', 'init_cfg')  # of an encoder


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Write the inference model of a dual encoder (docs/weights.md)')
    parser.add_argument('config', help='config that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='checkpoint of that training')
    parser.add_argument('out', help='file to write, *.pth')
    args = parser.parse_args(argv)
    if Path(args.out).suffix != '.pth':
        parser.error(f'{args.out}: must end in .pth; its config is written beside it as .py')
    return args


def retriever_config(model: dict) -> ConfigDict:
    """Config of the vanilla dual encoder that a model retrieves with."""
    retriever = ConfigDict(type='DualEncoder', **{name: model[name] for name in _FIELDS if name in model})
    for name in ('image_encoder', 'text_encoder'):
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
        ValueError: A tensor is missing or has another shape.
    """
    wrong = [
        name for name, t in target.items() if prefix + name not in source or source[prefix + name].shape != t.shape
    ]
    if wrong:
        raise ValueError(
            f'{where}: not trained with this config: {prefix}{wrong[0]} is missing or has another shape '
            f'({len(wrong)} such tensors of {len(target)})'
        )
    return {name: source[prefix + name] for name in target}


def run(args: argparse.Namespace) -> None:
    """Read, choose, write."""
    cfg = read_config(args.config)
    with safe_checkpoints():
        checkpoint = CheckpointLoader.load_checkpoint(args.checkpoint, map_location='cpu')
    source = checkpoint.get('state_dict', checkpoint)
    prefix = 'momentum.' if cfg.model.get('momentum_features') else ''
    cfg.model = retriever_config(cfg.model)
    weights = retriever_weights(source, prefix, meta_state_dict(cfg.model), args.checkpoint)
    print(f'{_millions(weights)} M of {_millions(source)} M values')
    write_checkpoint(weights, args.checkpoint, args.out)
    cfg.load_from, cfg.resume = None, False
    for name in ('val_evaluator', 'test_evaluator'):
        if 'metrics' in cfg.get(name, {}):
            cfg[name].metrics = [metric for metric in cfg[name].metrics if metric.type != 'ProofreadingMetric']
    config = Path(args.out).with_suffix('.py')
    cfg.dump(config)
    print(f'written: {config}')


def _millions(state_dict: dict[str, Tensor]) -> str:
    return f'{sum(t.numel() for t in state_dict.values()) / 1e6:.1f}'


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
