"""How many pairs a second mmvlforge check-batch checks, beside the bare model on pairs that are ready in memory.

    OMP_NUM_THREADS=1 python tools/benchmark/check_speed.py pairs.csv --model work_dirs/quickstart/model

The ways take turns, on the same pairs and in batches of the same size. The bare model has nothing to read, prepare or
write. A check with copies puts three pictures a pair through the model, so its share is of a third of the bare model's
pace. Beside the time by the clock stands that of all processors, for which other work on the machine counts less.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from mmvlforge.apis.batch import check_batch
from mmvlforge.apis.inferencer import Item
from mmvlforge.apis.inputs import batched, read_list
from mmvlforge.apis.manipulation import ManipulationInferencer
from mmvlforge.cli.output import print_table


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Pairs a second of check-batch, beside the bare model')
    parser.add_argument('pairs', type=Path, help='.csv or .jsonl file as for mmvlforge check-batch')
    parser.add_argument('--model', required=True, help='folder of a detector')
    parser.add_argument('--num', type=int, default=200, help='pairs of the list, at the most (default: 200)')
    parser.add_argument('--batch-size', type=int, default=16, help='pairs (default: 16)')
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 1, 2], help='processes (default: 0 1 2)')
    parser.add_argument('--rounds', type=int, default=3, help='times to measure, the best counts (default: 3)')
    parser.add_argument('--device', help='such as cuda (default: a GPU if there is one)')
    args = parser.parse_args(argv)
    if min(args.num, args.batch_size, args.rounds) < 1 or min(args.workers) < 0:
        parser.error('numbers must be positive')
    return args


def measure(args: argparse.Namespace) -> dict[tuple[str, int | None], tuple[float, float]]:
    """Pairs a second, and ms of processor time a pair, by way and number of workers, None for the bare model."""
    check = ManipulationInferencer(args.model, device=args.device, show_progress=False)
    queries = list(islice(read_list(args.pairs), args.num))
    check.stability = check.provenance = False
    items = [item for item in map(check.prepared, queries) if isinstance(item, Item)]
    if len(items) < len(queries) or not all(item.query.image and item.query.caption for item in items):
        raise ValueError(f'{args.pairs}: each of the first {args.num} must be a whole pair that can be read')

    with TemporaryDirectory() as folder:
        pairs = Path(folder, 'pairs.csv')
        rows = (f'"{Path(item.query.image).absolute()}","{item.query.caption.replace(chr(34), chr(34) * 2)}"\n'
                for item in items)  # fmt: skip
        pairs.write_text('image,caption\n' + ''.join(rows))

        def bare() -> None:
            for chunk in batched(items, args.batch_size):
                check.forward(chunk)

        def whole(copies: bool, workers: int) -> None:
            check.stability = check.provenance = copies
            out = Path(folder, 'results.jsonl')
            out.unlink(missing_ok=True)
            check_batch(check, pairs, out, args.batch_size, workers)

        ways: dict[tuple[str, int | None], Callable[[], None]] = {('bare model', None): bare}
        for name, copies in (('check-batch, scores alone', False), ('check-batch', True)):
            for workers in args.workers:
                ways[name, workers] = lambda copies=copies, workers=workers: whole(copies, workers)  # type: ignore[misc]
        best = dict.fromkeys(ways, (0.0, float('inf')))
        for _ in range(args.rounds):
            for key, run in ways.items():
                start, spent = time.perf_counter(), sum(os.times()[:4])
                run()
                pace, cost = len(items) / (time.perf_counter() - start), sum(os.times()[:4]) - spent
                best[key] = max(best[key][0], pace), min(best[key][1], 1e3 * cost / len(items))
    return best


def main(argv: list[str] | None = None) -> int:
    """Run the tool."""
    args = parse_args(argv)
    found = measure(args)
    bare, _ = found['bare model', None]
    rows = []
    for (name, workers), (pace, cost) in found.items():
        share = (3 if name == 'check-batch' else 1) * pace / bare
        rows.append([name, '-' if workers is None else str(workers), f'{pace:.1f}', f'{share:.2f}', f'{cost:.1f}'])
    print_table(['way', 'workers', 'pairs/s', "share of the bare model's", 'processor ms/pair'], rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())
