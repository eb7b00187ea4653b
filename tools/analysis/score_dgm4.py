"""Score a prediction file of any model.

Usage: python tools/analysis/score_dgm4.py ANNOTATIONS PREDICTIONS [--protocol dgm4|strict] [--out FILE.json]

The format of PREDICTIONS and every metric are described in docs/evaluation.md.
"""

import argparse
import json
import sys

from mmvlforge.annotations.annotation_file import read_annotations
from mmvlforge.annotations.dgm4_record import ClassMap
from mmvlforge.annotations.json_files import write_json
from mmvlforge.cli.output import print_table
from mmvlforge.evaluation.manipulation import PROTOCOLS
from mmvlforge.evaluation.predictions import join, read_predictions, score, score_rows, trivial_predictions


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Score a prediction file of any model (format: docs/evaluation.md)')
    parser.add_argument('annotations', help='DGM4 annotation file: a JSON array, or one record a line')
    parser.add_argument('predictions', help='JSON Lines, one line for each annotation record, in any order')
    parser.add_argument('--protocol', choices=PROTOCOLS, default='dgm4', help='how rows without a box are scored')
    parser.add_argument('--out', help='write the metrics to this JSON file as well')
    parser.add_argument('--per-class', action='store_true', help='add tables by type and by manipulation')
    parser.add_argument('--classes', help='JSON file {fake_cls: [image type, text type]} for sets other than DGM4')
    parser.add_argument('--trivial', action='store_true', help='show beside it what knowing only class shares scores')
    return parser.parse_args(argv)


def read_classes(path: str) -> ClassMap:
    """Read a class map: ``{fake_cls: [image type, text type]}``, ``"real"`` for an untouched modality."""
    with open(path, encoding='utf-8') as file:
        try:
            classes = json.load(file)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}:{error.lineno}: broken JSON: {error.msg}') from error
    pairs = classes.values() if isinstance(classes, dict) else []
    if not pairs or not all(isinstance(p, list) and len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs):
        raise ValueError(f'{path}: must be a JSON object {{fake_cls: [image type, text type]}}, all strings')
    return classes


def run(args: argparse.Namespace) -> None:
    """Read, score, print, and write if asked."""
    records = read_annotations(args.annotations)
    rows, lines = read_predictions(args.predictions)
    class_map = read_classes(args.classes) if args.classes else None
    joined = join(records, rows, class_map, args.annotations, args.predictions, lines)
    result = score_rows(joined, args.protocol, args.per_class)

    print(f'{len(records)} rows, protocol {args.protocol}, in percent')
    table = [[name, value] for name, value in result.items() if isinstance(value, float)]
    head = ['metric', 'value']
    if args.trivial:
        trivial = score(records, trivial_predictions(records, class_map), args.protocol, class_map)
        head.append('trivial')
        table = [[name, value, trivial[name]] for name, value in table]
    print_table(head, table)
    for name in ('per_class', 'per_manipulation'):
        if name in result:
            columns = list(next(iter(result[name].values())))
            print()
            print_table([name, *columns], [[key, *row.values()] for key, row in result[name].items()])
    if joined.uncovered_words:
        print(
            f'note: {joined.uncovered_words} of {joined.words} words have no token in the predictions; '
            'Precision, Recall and F1 leave them out'
        )
    if args.out:
        write_json(args.out, result)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
