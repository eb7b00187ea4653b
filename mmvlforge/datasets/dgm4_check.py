"""Check an annotation file of the DGM4 family, and with --image-root its pictures: every bad record at once.

    python tools/data/check_dgm4.py data/DGM4/metadata/train.json --image-root data/DGM4

prints how many records are bad in which way, the first of each kind, and a summary of the good ones. The rules are
the ones that training applies. Exit code: 0 all good, 1 something is bad, 2 wrong arguments.
"""

import argparse
import multiprocessing
import os
import sys
from collections import Counter, defaultdict

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmvlforge.annotations.annotation_file import read_annotations
from mmvlforge.annotations.dgm4_record import Problem, RecordFormat, dgm4_class_map, record_problems
from mmvlforge.datasets.transforms.loading import UnusableImageError, decode_image, read_image
from mmvlforge.registry import DATASETS

Problems = dict[int, list[Problem]]


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Report every bad record of an annotation file, by kind')
    parser.add_argument('ann_file', help='a JSON array of records, or one record a line')
    parser.add_argument('--image-root', help="folder that the records' image paths start from; decodes every picture")
    parser.add_argument('--config', help="take the record format from this config's training set (default: DGM4)")
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes that decode (default: all CPUs)')
    parser.add_argument('--max-show', type=int, default=10, help='records shown of each kind (default: 10)')
    args = parser.parse_args(argv)
    if args.workers < 1 or args.max_show < 0:
        parser.error(f'--workers must be at least 1 and --max-show 0, got {args.workers} and {args.max_show}')
    for path in (args.ann_file, args.config):
        if path and not os.path.isfile(path):
            parser.error(f'{path} is not a file')
    if args.image_root and not os.path.isdir(args.image_root):
        parser.error(f'--image-root {args.image_root} is not a folder')
    return args


def format_of(config: str) -> RecordFormat:
    """The record format of a config's training set. Raises ValueError if that set has none."""
    cfg = Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmvlforge'))
    try:
        return DATASETS.build({**cfg.train_dataloader.dataset, 'lazy_init': True}).format
    except (AttributeError, KeyError) as error:
        raise ValueError(f'{config}: train_dataloader.dataset has no record format: {error}') from error


def picture_size(path: str) -> tuple[int, int] | Problem:
    """Width and height of a picture after decoding it whole, or what is wrong with it."""
    if not os.path.exists(path):
        return Problem('missing image', 'image', f'{path} does not exist')
    try:
        return decode_image(read_image(path), path)[1]
    except UnusableImageError as error:
        return Problem('unreadable image', 'image', str(error))


def picture_sizes(paths: list[str], workers: int) -> dict[str, tuple[int, int] | Problem]:
    """:func:`picture_size` of each path, in several processes."""
    if workers == 1:
        return dict(zip(paths, map(picture_size, paths)))
    with multiprocessing.Pool(workers) as pool:
        return dict(zip(paths, pool.imap(picture_size, paths, chunksize=32)))


def check(records: list[dict | None], fmt: RecordFormat, image_root: str | None, workers: int) -> Problems:
    """Row → what is wrong with it, for each bad row.

    Args:
        records: As read; None for an entry that is no JSON object, which is left out here.
        fmt: What the set promises.
        image_root: Folder of the pictures; None leaves them out.
        workers: Processes that decode pictures.
    """
    paths, sizes = {}, {}
    if image_root:
        paths = {
            row: os.path.join(image_root, record['image'])
            for row, record in enumerate(records)
            if record is not None and isinstance(record.get('image'), str) and record['image'].strip()
        }
        sizes = picture_sizes(sorted(set(paths.values())), workers)
    problems = {}
    for row, record in enumerate(records):
        if record is None:
            continue
        size = sizes.get(paths.get(row))
        found = [size] if isinstance(size, Problem) else []
        found += record_problems(record, fmt, None if found else size)
        if found:
            problems[row] = found
    return problems


def print_problems(problems: Problems, max_show: int) -> None:
    """Counts by kind, then the first records of each kind."""
    kinds = defaultdict(list)
    for row in sorted(problems):
        for problem in problems[row]:
            kinds[problem.kind].append((row, problem))
    for kind, cases in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        print(f'\n{kind}: {len(cases)}')
        for row, problem in cases[:max_show]:
            where = f"field '{problem.field}': " if problem.field else ''
            print(f'  record {row}, {where}{problem.message}')
        if len(cases) > max_show:
            print(f'  and {len(cases) - max_show} more')


def print_summary(records: list[dict], fmt: RecordFormat) -> None:
    """What the good records hold."""
    words = [len(record['text'].split()) for record in records]
    print(f'\n{len(records)} good records, {len({record["image"] for record in records})} pictures')
    print(f'  words: {sum(words)}, {sum(words) / len(words):.1f} a caption, at most {max(words)}')
    if fmt.word_field:
        fake = sum(len(set(record[fmt.word_field])) for record in records)
        print(f'  fake words: {fake} ({100 * fake / sum(words):.1f} %)')
    if fmt.box_field:
        boxed = sum(bool(record[fmt.box_field]) for record in records)
        print(f'  with a box: {boxed} ({100 * boxed / len(records):.1f} %)')
    for name, count in Counter(record['fake_cls'] for record in records).most_common():
        print(f'  {name}: {count} ({100 * count / len(records):.1f} %)')


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = parse_args(argv)
    try:
        fmt = format_of(args.config) if args.config else RecordFormat(dgm4_class_map())
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    broken: dict[int, str] = {}
    try:
        records = read_annotations(args.ann_file, broken)
    except ValueError as error:
        print(f'error: {error}')
        return 1
    problems = check(records, fmt, args.image_root, args.workers)
    problems.update({row: [Problem('not an object', '', message)] for row, message in broken.items()})

    print(f'{args.ann_file}: {len(records)} records, {len(problems)} bad')
    print_problems(problems, args.max_show)
    good = [record for row, record in enumerate(records) if row not in problems]
    if good:
        print_summary(good, fmt)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
