"""Draw where in the picture a trained ViLEM looks for each word of a caption: Grad-CAM on the cross-attention.

Usage: python tools/analysis/word_patch_maps.py CONFIG CHECKPOINT --out DIR [--num 6]
       python tools/analysis/word_patch_maps.py CONFIG CHECKPOINT --out DIR --image FILE --caption 'two red cars'

Without --image, the first captions of test images are drawn. DIR gets one PNG a caption. What is differentiated is said
in mmvlforge/visualization/grad_cam.py.
"""

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from trained_model import add_model_arguments
from trained_retriever import Drawn, TrainedRetriever, spread, write_drawn

from mmvlforge.command_line import run_command
from mmvlforge.structures import VLInputs
from mmvlforge.visualization import load_picture
from mmvlforge.visualization.grad_cam import word_patch_maps
from mmvlforge.visualization.word_patch_picture import draw_word_patch_maps


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Draw where ViLEM looks for each word')
    add_model_arguments(parser)
    parser.add_argument('--out', required=True, help='folder for the pictures')
    parser.add_argument('--num', type=int, default=6, help='test images to draw (default: %(default)s)')
    parser.add_argument('--image', help='a picture of your own, with --caption')
    parser.add_argument('--caption', help='its caption')
    parser.add_argument('--path', default='local', help='path with a cross-attention (default: %(default)s)')
    parser.add_argument('--layer', type=int, help='text layer whose attention is read, from 0 (default: all)')
    args = parser.parse_args(argv)
    if (args.image is None) != (args.caption is None):
        parser.error('--image and --caption belong together')
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}')
    return args


def draw_item(trained: TrainedRetriever, item: dict, path: str = 'local', layer: Optional[int] = None) -> Drawn:
    """The maps of an item's first caption."""
    trained.need('proofread')
    inputs, samples = trained.prepare([item])
    one = VLInputs(inputs.images[:1], *(part[:1] for part in inputs[1:]))
    maps = word_patch_maps(trained.model, one, path, layer).cpu().numpy()
    image, words = samples[0].img_paths[0], trained.tokens(one, 0)
    name = f'{samples[0].index:06d}_{Path(image).stem}'
    return Drawn(name, draw_word_patch_maps(load_picture(image), words, maps), ' '.join(words), samples[0].captions[0])


def run(args: argparse.Namespace) -> None:
    """Load, differentiate, draw."""
    trained = TrainedRetriever(args.config, args.checkpoint, args.cfg_options)
    if args.image:
        items = [trained.pair(args.image, args.caption)]
    else:
        items = [trained.dataset[place] for place in spread(args.num, len(trained.dataset))]
        trained.check_drawable([item['data_samples'] for item in items])
    write_drawn([draw_item(trained, item, args.path, args.layer) for item in items], args.out)


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
