"""How fast one worker makes training samples, and how fast pictures are decoded.

    python tools/benchmark/data_speed.py configs/dgm4/dca_imq.py --synthetic

prints the milliseconds of each step of the config's training pipeline in one process, then the samples per second of
its loader with --workers, then LoadImage beside Pillow and OpenCV. --synthetic takes random pictures and captions in
place of the data set; the loader then reads a temporary folder.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from mmvlforge.datasets.transforms import LoadImage
from mmvlforge.registry import DATASETS

# The usual size of DGM4's pictures, and a large one as news agencies store them.
SIZES = ((400, 300), (1920, 1280))
WORDS = 17  # a caption of DGM4, on average


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Measure the training pipeline of a config, and decoding')
    parser.add_argument('config')
    parser.add_argument('--num', type=int, default=500, help='samples to measure (default: 500)')
    parser.add_argument('--workers', type=int, default=1, help='worker processes of the loader (default: 1)')
    parser.add_argument('--synthetic', action='store_true', help='random pictures and captions, not the data set')
    args = parser.parse_args(argv)
    if args.num < 1 or args.workers < 0:
        parser.error(f'--num must be at least 1 and --workers 0, got {args.num} and {args.workers}')
    if not os.path.isfile(args.config):
        parser.error(f'{args.config} is not a file')
    return args


def write_jpeg(path: Path, size: tuple[int, int], rng: np.random.Generator) -> None:
    """A random picture whose JPEG file is about as large as a photograph's: smooth shapes and grain."""
    width, height = size
    coarse = rng.integers(0, 256, (max(height // 16, 1), max(width // 16, 1), 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 8, (height, width, 3))
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(path, quality=85)


def write_synthetic_set(folder: Path, num: int, dataset: dict) -> None:
    """Write a set in DGM4's form and a tokenizer, and let the settings of a data set read them."""
    rng = np.random.default_rng(0)
    words = [''.join(rng.choice(list('abcdefghijklmnoprstuvw'), rng.integers(2, 10))) for _ in range(500)]
    records = []
    for row in range(num):
        if row < 64:  # more would only take longer to write
            write_jpeg(folder / f'{row}.jpg', SIZES[0], rng)
        text = ' '.join(rng.choice(words, WORDS))
        cls = dict(fake_cls='face_swap&text_swap', fake_image_box=[40, 30, 120, 140], fake_text_pos=[1, 2])
        records.append(dict(id=row, image=f'{row % 64}.jpg', text=text, **cls))
    (folder / 'train.json').write_text(json.dumps(records))
    bpe = ByteLevelBPETokenizer(add_prefix_space=True)
    bpe.train_from_iterator((r['text'] for r in records), vocab_size=1000, special_tokens=['<pad>', '<unk>'])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, pad_token='<pad>', unk_token='<unk>')
    tokenizer.save_pretrained(folder / 'tokenizer')
    dataset.update(data_root=str(folder), data_prefix=dict(img_path=''), ann_file='train.json')
    for transform in dataset['pipeline']:
        if transform['type'] == 'WordTokenizer':
            transform['name'] = str(folder / 'tokenizer')


def time_steps(dataset, num: int) -> dict[str, float]:
    """Mean milliseconds of each step for one sample: reading the record, then each transform."""
    spent: dict[str, float] = defaultdict(float)
    for number in range(-20, num):  # the first ones warm caches
        start = time.perf_counter()
        results = dataset.get_data_info(number % len(dataset))
        marks = [('record', time.perf_counter())]
        for transform in dataset.pipeline.transforms:
            results = transform(results)
            marks.append((type(transform).__name__, time.perf_counter()))
        for name, end in marks if number >= 0 else ():
            spent[name] += 1000 * (end - start) / num
            start = end
    return dict(spent)


def time_loader(dataloader: dict, num: int) -> float:
    """Samples per second of a loader after its first batch."""
    loader = Runner.build_dataloader(dataloader, seed=0)
    seen, start = 0, None
    while seen < num:
        for batch in loader:
            if start is None:
                start = time.perf_counter()  # the workers run now
                continue
            seen += len(batch['data_samples'])
            if seen >= num:
                break
    return seen / (time.perf_counter() - start)


def pillow_draft(path: str, target: tuple[int, int]) -> np.ndarray:
    """Pillow's scaled decoding, to an RGB array."""
    with Image.open(path) as image:
        image.draft('RGB', target)
        return np.asarray(image)


def opencv(path: str, target: tuple[int, int]) -> np.ndarray:
    """OpenCV at full size, to a BGR array."""
    return cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def load_image(path: str, target: tuple[int, int]) -> np.ndarray:
    """Our transform, to a BGR array."""
    return LoadImage(target).transform(dict(img_path=path, box=[]))['img']


def time_decoders(path: str, target: tuple[int, int], rounds: int) -> dict[str, float]:
    """Milliseconds of each decoder: its best of several rounds, in which the decoders take turns."""
    decoders: dict[str, Callable] = {'LoadImage': load_image, 'Pillow draft': pillow_draft, 'OpenCV': opencv}
    best = dict.fromkeys(decoders, float('inf'))
    for _ in range(rounds):
        for name, decode in decoders.items():
            start = time.perf_counter()
            for _ in range(5):
                decode(path, target)
            best[name] = min(best[name], 200 * (time.perf_counter() - start))
    return best


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = parse_args(argv)
    # As in a loader's worker.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.get('default_scope', 'mmvlforge'))
    dataloader = cfg.train_dataloader
    with tempfile.TemporaryDirectory() as folder:
        if args.synthetic:
            write_synthetic_set(Path(folder), args.num + dataloader.batch_size, dataloader.dataset)
        try:
            steps = time_steps(DATASETS.build(dataloader.dataset), args.num)
            print(f'{args.config}: {"synthetic data" if args.synthetic else "its training set"}, {args.num} samples')
            for name, spent in steps.items():
                print(f'  {name:<24}{spent:8.3f} ms')
            total = sum(steps.values())
            print(f'  {"all":<24}{total:8.3f} ms = {1000 / total:.0f} samples/s in one process')
            dataloader.update(num_workers=args.workers, persistent_workers=args.workers > 0, pin_memory=False)
            rate = time_loader(dataloader, args.num)
        except (OSError, ValueError) as error:
            print(f'error: {error}\nuse --synthetic where the data set is missing', file=sys.stderr)
            return 2
        share = f', {rate / args.workers:.0f} a worker' if args.workers else ''
        print(f'  loader with {args.workers} workers: {rate:.0f} samples/s{share}')

        target = tuple(cfg.get('image_size', (256, 256)))
        for size in SIZES:
            path = str(Path(folder, 'decode.jpg'))
            write_jpeg(Path(path), size, np.random.default_rng(0))
            times = time_decoders(path, target, rounds=30)
            print(f'decoding {size[0]}x{size[1]} ({os.path.getsize(path) // 1024} KiB) for {target[0]}x{target[1]}')
            for name, spent in times.items():
                print(f'  {name:<24}{spent:8.3f} ms, {spent / times["LoadImage"]:.2f} of LoadImage')
    return 0


if __name__ == '__main__':
    sys.exit(main())
