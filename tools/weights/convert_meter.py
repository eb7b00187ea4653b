"""Convert a METER checkpoint to the manipulation detector's names.

Usage: python tools/weights/convert_meter.py METER.ckpt OUT.pth [--config CONFIG] [--no-cross] [--unsafe-load]

What is taken over and what is not: docs/weights.md.
"""

import argparse
import os
import sys

from mmvlforge.models.weights import meter_names, read_state_dict
from mmvlforge.models.weights.checkpoint_files import require_groups, write_converted

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


def parse_args(argv: list[str] | None) -> argparse.Namespace:
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


def run(args: argparse.Namespace) -> None:
    """Read, convert, report, write."""
    source = read_state_dict(args.meter, args.unsafe_load, _REMEDY)
    require_groups(source, _GROUPS, args.meter, 'a METER checkpoint')
    names = meter_names(source, cross_layers=not args.no_cross)
    left_out = r'(binary|type|box|token)_head\..*' + (r'|neck\.(image|text)_layers\..*' if args.no_cross else '')
    write_converted(source, names, args.config, args.meter, args.out, left_out)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
