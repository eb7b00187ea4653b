"""Write a test run as one self-contained HTML page with numbers and pictures.

Usage: python tools/analysis/make_report.py ANNOTATIONS PREDICTIONS --image-root DIR --out report.html

PREDICTIONS is the format that tools/test.py --predictions writes and tools/analysis/score_dgm4.py scores.
"""

import argparse
import json
import math
import sys

from mmvlforge.annotations.annotation_file import read_annotations
from mmvlforge.evaluation.predictions import join, read_predictions, score, score_rows, trivial_predictions
from mmvlforge.reports.manipulation import METRICS, build_sample, write_report


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Write a test run as one HTML page with numbers and pictures')
    parser.add_argument('annotations', help='DGM4 annotation file: a JSON array, or one record a line')
    parser.add_argument('predictions', help='JSON Lines, one line for each annotation record, in any order')
    parser.add_argument('--image-root', help='folder that "image" of a record is relative to; without it, no pictures')
    parser.add_argument('--out', required=True, help='HTML file to write')
    parser.add_argument('--num', type=int, default=24, help='how many samples to draw (default: %(default)s)')
    parser.add_argument('--metrics', help='JSON file with the metrics to show; without it they are computed')
    parser.add_argument('--trivial', help="JSON file with the trivial predictor's; without it they are computed")
    parser.add_argument('--title', default='Manipulation detection and grounding', help='heading of the page')
    args = parser.parse_args(argv)
    if args.num < 0:
        parser.error(f'--num must not be negative, got {args.num}')
    return args


def read_metrics(path: str) -> dict:
    """Read the known metrics of a JSON object, percent or null."""
    with open(path, encoding='utf-8') as file:
        try:
            metrics = json.load(file)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}:{error.lineno}: broken JSON: {error.msg}') from error
    if not isinstance(metrics, dict) or not METRICS.keys() & metrics.keys():
        raise ValueError(f'{path}: must be a JSON object with at least one of {", ".join(METRICS)}')
    metrics = {name: metrics[name] for name in METRICS if name in metrics}
    for name, value in metrics.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not number:
            raise ValueError(f'{path}: {name} is {value!r}, must be a finite number or null')
    return metrics


def run(args: argparse.Namespace) -> None:
    """Read, check, join and write."""
    records = read_annotations(args.annotations)
    rows, lines = read_predictions(args.predictions)
    joined = join(records, rows, None, args.annotations, args.predictions, lines)
    metrics = read_metrics(args.metrics) if args.metrics else score_rows(joined)
    trivial = read_metrics(args.trivial) if args.trivial else score(records, trivial_predictions(records))
    samples = [build_sample(row['index'], records[row['index']], row, args.image_root) for row in rows]
    samples.sort(key=lambda sample: sample.index)
    write_report(samples, args.out, args.title, metrics, trivial, args.num)
    print(f'{args.out}: {len(samples)} samples')


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
