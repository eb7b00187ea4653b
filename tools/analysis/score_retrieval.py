"""Score image and text features of any model by retrieval.

Usage: python tools/analysis/score_retrieval.py FEATURES.npz [--out FILE.json]

The arrays of FEATURES.npz and every metric are described in docs/evaluation.md.
"""

import argparse
import sys
import zipfile
import zlib

import numpy as np

from mmvlforge.annotations.json_files import write_json
from mmvlforge.cli.output import print_table
from mmvlforge.evaluation.retrieval import image_text_metrics

ARRAYS = ('image_feats', 'text_feats', 'text_to_image')


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Score features by image-text retrieval (format: docs/evaluation.md)')
    parser.add_argument('features', help='NumPy archive: image_feats (Ni, D), text_feats (Nt, D), text_to_image (Nt,)')
    parser.add_argument('--out', help='write the metrics to this JSON file as well')
    return parser.parse_args(argv)


def read_features(path: str) -> dict[str, np.ndarray]:
    """Read the three arrays of a NumPy archive; pickled objects are refused."""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError('a single array, must be an archive as numpy.savez writes it')
        with archive:
            missing = [name for name in ARRAYS if name not in archive]
            if missing:
                raise ValueError(f'no array {", ".join(missing)}; it has {", ".join(archive) or "none"}')
            return {name: archive[name] for name in ARRAYS}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f'{path}: {error}') from error


def run(args: argparse.Namespace) -> None:
    """Read, score, print, and write if asked."""
    arrays = read_features(args.features)
    try:
        result = image_text_metrics(**arrays)
    except ValueError as error:
        raise ValueError(f'{args.features}: {error}') from error
    print(f'{len(arrays["image_feats"])} images, {len(arrays["text_feats"])} captions, in percent (MedR in ranks)')
    print_table(['metric', 'value'], [list(item) for item in result.items()])
    if args.out:
        write_json(args.out, result)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
