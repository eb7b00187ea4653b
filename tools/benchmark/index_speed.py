"""How fast an index is built and searched, beside the bare model and beside exact search.

    OMP_NUM_THREADS=1 python tools/benchmark/index_speed.py FOLDER --model starter

Building takes turns with the bare model on the same pictures, which lie ready in its memory. The search is for words
among random vectors of the model's width, the encoding of the words included; the median of warm queries counts.
"""

import argparse
import resource
import statistics
import sys
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mmvlforge.apis.index import PictureIndex
from mmvlforge.apis.index_stores import Entry
from mmvlforge.apis.inferencer import Item
from mmvlforge.apis.inputs import batched, read_queries
from mmvlforge.apis.retrieval import RetrievalInferencer
from mmvlforge.cli.output import print_table


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Pictures and queries a second of an index')
    parser.add_argument('folder', type=Path, help='folder of pictures')
    parser.add_argument('--model', default='starter', help='a dual encoder (default: starter)')
    parser.add_argument('--num', type=int, default=300, help='pictures of the folder, at the most (default: 300)')
    parser.add_argument('--entries', type=int, default=100_000, help='vectors to search (default: 100,000)')
    parser.add_argument('--stores', nargs='+', default=['exact', 'lite.db'], help='exact, lite.db (default: both)')
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 1], help='processes that decode (default: 0 1)')
    parser.add_argument('--rounds', type=int, default=3, help='times to build, the best counts (default: 3)')
    return parser.parse_args(argv)


def time_building(ask: RetrievalInferencer, args: argparse.Namespace, folder: Path) -> list[list]:
    """Pictures a second of the bare model and of each way to build."""
    names = [str(Path(str(query.image)).absolute()) for query in islice(read_queries(args.folder), args.num)]
    source = folder / 'list.csv'
    source.write_text('image\n' + ''.join(f'"{name}"\n' for name in names))
    items = [item for item in map(ask.prepared, read_queries(source)) if isinstance(item, Item)]

    def bare() -> None:
        for chunk in batched(items, args.batch_size):
            ask.forward(chunk)

    best = {('bare model', '-'): 0.0}
    for number in range(args.rounds):
        start = time.perf_counter()
        bare()
        best['bare model', '-'] = max(best['bare model', '-'], len(items) / (time.perf_counter() - start))
        for store in args.stores:
            for workers in args.workers:
                index = PictureIndex(str(folder / f'{number}_{workers}_{store}'), ask, new=True)
                start = time.perf_counter()
                done = index.add(str(source), args.batch_size, workers)
                pace = done.new / (time.perf_counter() - start)
                best[store, str(workers)] = max(best.get((store, str(workers)), 0.0), pace)
    top = best['bare model', '-']
    return [[way, workers, f'{pace:.1f}', f'{pace / top:.2f}'] for (way, workers), pace in best.items()]


def time_search(ask: RetrievalInferencer, args: argparse.Namespace, folder: Path) -> list[list]:
    """Milliseconds of a warm query by words."""
    rows = []
    for store in args.stores:
        index = PictureIndex(str(folder / f'search_{store}'), ask, new=True)
        rng, width, start = np.random.default_rng(0), index.about['dims'], time.perf_counter()
        for first in range(0, args.entries, 2000):
            vectors = rng.standard_normal((min(2000, args.entries - first), width)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            entries = [Entry(f'{first + i:064d}', [f'/{first + i}.jpg'], [], {}) for i in range(len(vectors))]
            index.store.put(entries, vectors)
        index.store.finish()
        written = time.perf_counter() - start
        times = []
        for number in range(23):
            start = time.perf_counter()
            index.search(f'a dog in the snow number {number}', topk=10)
            times.append(1e3 * (time.perf_counter() - start))
        rows.append([store, f'{args.entries:,}', f'{written:.1f}', f'{statistics.median(times[3:]):.1f}'])
    return rows


def main(argv: list[str] | None = None) -> int:
    """Run the tool."""
    args = parse_args(argv)
    ask = RetrievalInferencer(args.model, show_progress=False)
    with TemporaryDirectory() as folder:
        print_table(['way', 'workers', 'pictures/s', "of the bare model's"], time_building(ask, args, Path(folder)))
        print()
        print_table(['store', 'pictures', 'written in s', 'ms a query'], time_search(ask, args, Path(folder)))
    print(f'\nmost memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
