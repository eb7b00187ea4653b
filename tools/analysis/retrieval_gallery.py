"""Draw what a trained model finds in its test set: pictures for captions, and captions for pictures.

Usage: python tools/analysis/retrieval_gallery.py CONFIG CHECKPOINT --out DIR [--num 8] [--topk 5]

Queries lie at equal distances in the set. DIR gets t2i_*.png and i2t_*.png.
"""

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from trained_model import add_model_arguments
from trained_retriever import Drawn, Features, TrainedRetriever, spread, write_drawn

from mmvlforge.command_line import run_command
from mmvlforge.evaluation.retrieval import retrieval_ranks
from mmvlforge.visualization import load_picture
from mmvlforge.visualization.retrieval_gallery import Answer, draw_found_captions, draw_found_pictures


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Draw what a trained model finds')
    add_model_arguments(parser)
    parser.add_argument('--out', required=True, help='folder for the pictures')
    parser.add_argument('--num', type=int, default=8, help='queries each way (default: %(default)s)')
    parser.add_argument('--topk', type=int, default=5, help='answers to each (default: %(default)s)')
    args = parser.parse_args(argv)
    if min(args.num, args.topk) < 1:
        parser.error(f'--num and --topk must be at least 1, got {args.num} and {args.topk}')
    return args


def draw(features: Features, num: int, topk: int = 5) -> List[Drawn]:
    """Galleries both ways, ``num`` each."""
    i2t, t2i = retrieval_ranks(features.image, features.text, features.owner)
    pictures = []
    for query in spread(num, len(features.text)):
        scores = features.image @ features.text[query]
        answers = [
            Answer(load_picture(features.paths[i]), float(scores[i]), i == features.owner[query])
            for i in (-scores).argsort(kind='stable')[:topk]
        ]
        caption = features.captions[query]
        drawn = draw_found_pictures(caption, answers, int(t2i[query]) + 1)
        pictures.append(Drawn(f't2i_{query:06d}', drawn, caption, ''))
    for query in spread(num, len(features.image)):
        scores = features.text @ features.image[query]
        answers = [
            Answer(features.captions[i], float(scores[i]), features.owner[i] == query)
            for i in (-scores).argsort(kind='stable')[:topk]
        ]
        path = features.paths[query]
        drawn = draw_found_captions(load_picture(path), answers, int(i2t[query]) + 1)
        pictures.append(Drawn(f'i2t_{query:06d}', drawn, Path(path).name, ''))
    return pictures


def run(args: argparse.Namespace) -> None:
    """Load, embed, rank, draw."""
    features = TrainedRetriever(args.config, args.checkpoint, args.cfg_options).features()
    write_drawn(draw(features, args.num, args.topk), args.out)


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
