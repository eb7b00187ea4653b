"""Score a prediction file of any model.

Usage: python tools/analysis/score_dgm4.py ANNOTATIONS PREDICTIONS [--protocol dgm4|strict] [--out FILE.json]

The format of PREDICTIONS and every metric are described in docs/evaluation.md.
"""

import argparse
import json
import os
import sys
import warnings
from typing import List, Optional

from mmvlforge.annotations.annotation_file import read_annotations
from mmvlforge.annotations.dgm4_record import ClassMap
from mmvlforge.evaluation.functional import PROTOCOLS
from mmvlforge.evaluation.predictions import join, read_predictions, score, score_rows, trivial_predictions


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
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


def print_table(head: List[str], rows: List[list]) -> None:
    """Print rows in aligned columns, numbers with two decimals, None as a dash."""
    cells = [head] + [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print('  '.join([line[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(line[1:], widths[1:])]))


def _cell(value) -> str:
    if value is None:
        return '-'
    return f'{value:.2f}' if isinstance(value, float) else str(value)


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
        os.makedirs(os.path.dirname(args.out) or '.', exist_ok=True)
        with open(args.out, 'w', encoding='utf-8') as file:
            json.dump(result, file, indent=2, allow_nan=False)
            file.write('\n')


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; 2 means that a file or an argument is wrong, and standard error says which and how."""
    args = parse_args(argv)
    with warnings.catch_warnings():
        warnings.simplefilter('always', UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(f'warning: {message}', file=sys.stderr)
        try:
            run(args)
        except (ValueError, OSError) as error:
            print(f'error: {error}', file=sys.stderr)
            return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
