"""Convert an ALBEF checkpoint to the names of the dual encoder and of ViLEM.

Usage: python tools/weights/convert_albef.py ALBEF.pth OUT.pth --config CONFIG [--unsafe-load]

What is taken over and what is not: docs/weights.md.
"""

import argparse
import sys

from mmvlforge.models.weights import albef_names, read_state_dict
from mmvlforge.models.weights.checkpoint_files import require_groups, write_converted

_GROUPS = ['visual_encoder.', 'text_encoder.', 'vision_proj.', 'text_proj.']
_LEFT_OUT = (
    r'(detection|correction)_head\..*'
    r'|contrastive_head\.(image_queue|text_queue|id_queue|next_key|steps)'
    r'|(momentum\.)?text_encoder\.layers\.\d+\.cross_.*'
)
_REMEDY = (
    'Files with training settings beside the weights: add --unsafe-load if you trust where the file comes from '
    '(unpickling can run code)'
)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Convert an ALBEF checkpoint (docs/weights.md)')
    parser.add_argument('albef', help="ALBEF's checkpoint, weights under model")
    parser.add_argument('out', help='file to write, for load_from in a config')
    parser.add_argument('--config', required=True, help='config of the model, a DualEncoder or ViLEM')
    parser.add_argument(
        '--unsafe-load', action='store_true', help='unpickle any object in the file: only for a source you trust'
    )
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Read, convert, report, write."""
    source = read_state_dict(args.albef, args.unsafe_load, _REMEDY)
    require_groups(source, _GROUPS, args.albef, 'an ALBEF checkpoint')
    write_converted(source, albef_names(source), args.config, args.albef, args.out, _LEFT_OUT)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
