"""Convert a METER checkpoint to the manipulation detector's names.

Usage: python tools/weights/convert_meter.py METER.ckpt OUT.pth [--config CONFIG] [--no-cross] [--unsafe-load]

What is taken over and what is not: docs/weights.md.
"""

import argparse
import os
import re
import sys
from typing import Dict, Iterable, List, Optional

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmvlforge.command_line import run_command
from mmvlforge.models.weights import convert, meter_names, read_state_dict
from mmvlforge.registry import MODELS

_DEFAULT_CONFIG = os.path.join(os.path.dirname(__file__), '..', '..', 'configs', 'dgm4', 'dca_imq.py')
_GROUPS = [
    'vit_model.visual.',
    'text_transformer.',
    'cross_modal_text_transform.',
    'cross_modal_image_transform.',
    'token_type_embeddings.',
    'cross_modal_text_layers.',
    'cross_modal_image_layers.',
]
_REMEDY = (
    'Lightning files hold training settings beside the weights: add --unsafe-load if you trust where the file comes '
    'from (unpickling can run code)'
)


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Convert a METER checkpoint (docs/weights.md)')
    parser.add_argument('meter', help="METER's Lightning checkpoint, weights under state_dict")
    parser.add_argument('out', help='file to write, for load_from in a config')
    parser.add_argument(
        '--config', default=_DEFAULT_CONFIG, help='config of the model (default: configs/dgm4/dca_imq.py)'
    )
    parser.add_argument('--no-cross', action='store_true', help="leave METER's cross-modal layers out")
    parser.add_argument(
        '--unsafe-load', action='store_true', help='unpickle any object in the file: only for a source you trust'
    )
    return parser.parse_args(argv)


def target_state_dict(config: str) -> Dict[str, torch.Tensor]:
    """Names and shapes of the config's model; the values are not there (meta device)."""
    cfg = Config.fromfile(config)
    if 'model' not in cfg:
        raise ValueError(f"{config}: no 'model' in this config")
    init_default_scope(cfg.get('default_scope', 'mmvlforge'))
    with torch.device('meta'):
        return MODELS.build(cfg.model).state_dict()


def check_meter(keys: Iterable[str], path: str) -> None:
    """Raise ValueError naming the groups of keys that make a file METER's and are not there."""
    absent = [group for group in _GROUPS if not any(key.startswith(group) for key in keys)]
    if absent:
        raise ValueError(f'{path}: not a METER checkpoint: no keys {", ".join(group + "*" for group in absent)}')


def print_keys(title: str, keys: List[str]) -> None:
    """Print a list of keys, one a line, if there are any."""
    if keys:
        print(f'{title}: {len(keys)}')
        print('\n'.join(f'  {key}' for key in keys))


def run(args: argparse.Namespace) -> None:
    """Read, convert, report, write."""
    source = read_state_dict(args.meter, args.unsafe_load, _REMEDY)
    check_meter(source, args.meter)
    names = meter_names(source, cross_layers=not args.no_cross)
    converted = convert(source, names, target_state_dict(args.config), args.meter)

    left_out = r'(binary|type|box|token)_head\..*' + (r'|neck\.(image|text)_layers\..*' if args.no_cross else '')
    expected = [name for name in converted.missing if re.fullmatch(left_out, name)]
    print(f'{len(converted.state_dict)} tensors converted')
    print_keys('unused keys of METER', converted.unused)
    print_keys('missing as expected, they start from their own initialisation', expected)
    print_keys('MISSING, NOT EXPECTED', [name for name in converted.missing if name not in expected])

    os.makedirs(os.path.dirname(args.out) or '.', exist_ok=True)
    torch.save({'state_dict': converted.state_dict, 'meta': {'source': os.path.basename(args.meter)}}, args.out)
    print(f'written: {args.out}')


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
