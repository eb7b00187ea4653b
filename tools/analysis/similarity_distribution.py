"""Draw the similarities of positive and negative pairs of a test set, and their normalised margins.

Usage: python tools/analysis/similarity_distribution.py CONFIG CHECKPOINT --out DIR [--beside CONFIG CHECKPOINT]

DIR gets similarity.png and similarity.json: for each model, named after its config, means, deviations and histograms of
both kinds of similarity and of the margins. --beside draws a second model over the first, such as the baseline. The
paper does not define its normalised margin; ours: the similarity of a positive pair minus the mean similarity of the
negative pairs that share its image or caption, divided by the distance from the lowest to the highest similarity of the
set (mmvlforge/evaluation/similarity.py).
"""

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from trained_model import add_model_arguments
from trained_retriever import Drawn, Features, TrainedRetriever, write_drawn

from mmvlforge.command_line import print_table, run_command, write_json
from mmvlforge.evaluation.similarity import similarity_distribution
from mmvlforge.visualization.similarity_chart import draw_similarities


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Draw similarities of positive and negative pairs')
    add_model_arguments(parser)
    parser.add_argument('--beside', nargs=2, metavar=('CONFIG', 'CHECKPOINT'), help='a second model')
    parser.add_argument('--out', required=True, help='folder for picture and numbers')
    return parser.parse_args(argv)


def measure(features: Features) -> dict:
    """Distribution of a test set's similarities."""
    return similarity_distribution(features.image, features.text, features.owner)


def draw(models: dict) -> Drawn:
    """The chart of one or several models, by name."""
    parts = [
        f'{name}: positive {found["positive"]["mean"]:.2f}, negative {found["negative"]["mean"]:.2f}, '
        f'normalised margin {found["normalised_margin"]["mean"]:.2f}'
        for name, found in models.items()
    ]
    return Drawn('similarity', draw_similarities(models), '; '.join(parts), 'means; ± is the standard deviation')


def run(args: argparse.Namespace) -> None:
    """Load, embed, measure, draw."""
    models = {}
    for config, checkpoint in filter(None, [(args.config, args.checkpoint), args.beside]):
        name = Path(config).stem
        if name in models:  # one config, two checkpoints
            name = f'{name} ({Path(checkpoint).stem})'
        models[name] = measure(TrainedRetriever(config, checkpoint, args.cfg_options).features())
    write_json(str(Path(args.out, 'similarity.json')), models)
    write_drawn([draw(models)], args.out)
    kinds = ('positive', 'negative', 'normalised_margin')
    rows = [[f'{name}, {kind}', *(found[kind][key] for key in ('mean', 'std'))] for name, found in models.items()
            for kind in kinds]  # fmt: skip
    print_table(['', 'mean', 'std'], rows)


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
