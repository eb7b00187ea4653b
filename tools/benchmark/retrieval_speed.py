"""How long retrieval takes: a dual encoder against a joint encoder, and the ranking against a sort of every row.

    python tools/benchmark/retrieval_speed.py --batches 5

The problem is COCO's 5K test set. Both systems encode every picture and every caption once; the dual encoder then
multiplies and ranks. The joint encoder's text layers are split in half, as ALBEF splits BERT. The first half reads text
alone. The second, with a cross-attention in each layer, rescores for each picture its first top-k captions and for each
caption its first top-k pictures, with a picture's keys and values computed anew for each pair, as ALBEF does. Both are
built from the same layer with random weights, which do not change the speed. A few batches of each part are measured
and scaled to the whole.
"""

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from mmvlforge.evaluation.retrieval import retrieval_ranks
from mmvlforge.models.layers import TransformerLayer

PAPER = 64  # dual encoder against ALBEF on COCO 5K (Table 1 of the ViLEM paper)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Measure retrieval with a dual and with a joint encoder')
    sizes = {
        'num-images': (5000, 'pictures to search'),
        'num-captions': (25010, 'captions to search'),
        'top-k': (256, 'candidates that the joint encoder rescores for each query'),
        'feature-dims': (256, 'channels of the shared space'),
        'embed-dims': (768, 'channels of the encoders'),
        'layers': (12, 'layers of each encoder, an even number'),
        'heads': (12, 'attention heads'),
        'image-size': (384, 'side of a picture in pixels, patches of 16'),
        'text-length': (14, 'tokens of a caption'),
        'batch-size': (32, 'pictures, captions or pairs a batch'),
        'batches': (5, 'batches to measure of each part'),
    }
    for name, (default, text) in sizes.items():
        parser.add_argument(f'--{name}', type=int, default=default, help=f'{text} (default: {default})')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cuda' if torch.cuda.is_available() else 'cpu')
    args = parser.parse_args(argv)
    for name in sizes:
        value = getattr(args, name.replace('-', '_'))
        if value < 1:
            parser.error(f'--{name} must be at least 1, got {value}')
    if args.layers % 2 or args.embed_dims % args.heads or args.image_size % 16:
        parser.error('--layers must be even, --heads divide --embed-dims, and 16 divide --image-size')
    if args.num_captions < args.num_images:
        parser.error(f'--num-captions {args.num_captions}: every one of {args.num_images} pictures needs a caption')
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: no CUDA device here')
    return args


class Encoder(nn.ModuleList):
    """A stack of our layers."""

    def __init__(self, args: argparse.Namespace, num_layers: int, cross_attention: bool = False) -> None:
        dims = args.embed_dims
        layers = [TransformerLayer(dims, args.heads, 4 * dims, cross_attention) for _ in range(num_layers)]
        super().__init__(layers)
        self.to(args.device).eval()

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """Run all layers."""
        for layer in self:
            x = layer(x, memory=memory)
        return x


@torch.no_grad()
def seconds_an_item(args: argparse.Namespace, forward: Callable[[], Tensor]) -> float:
    """Median time of a batch, after one to warm up, divided by its size."""
    spent = []
    for _ in range(1 + args.batches):
        start = time.perf_counter()
        with torch.autocast(args.device, torch.bfloat16, enabled=args.amp):
            forward()
        if args.device == 'cuda':
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - start)
    return median(spent[1:]) / args.batch_size


def measure_encoders(args: argparse.Namespace) -> dict:
    """Seconds for one picture, one caption and one pair."""
    dims, half = args.embed_dims, args.layers // 2
    patchify = nn.Conv2d(3, dims, 16, 16).to(args.device)
    image_encoder, text_encoder = Encoder(args, args.layers), Encoder(args, args.layers)
    text_half, fusion_half = Encoder(args, half), Encoder(args, half, cross_attention=True)
    images = torch.randn(args.batch_size, 3, args.image_size, args.image_size, device=args.device)
    words = torch.randn(args.batch_size, args.text_length, dims, device=args.device)
    patches = torch.randn(1, (args.image_size // 16) ** 2 + 1, dims, device=args.device)
    return dict(
        image=seconds_an_item(args, lambda: image_encoder(patchify(images).flatten(2).transpose(1, 2))),
        text=seconds_an_item(args, lambda: text_encoder(words)),
        text_half=seconds_an_item(args, lambda: text_half(words)),
        # One picture with a batch of its candidates.
        pair=seconds_an_item(args, lambda: fusion_half(words, patches.expand(args.batch_size, -1, -1))),
    )


def sort_every_row(images: np.ndarray, texts: np.ndarray, owner: np.ndarray) -> tuple:
    """The textbook way: all similarities at once, then a sort for each query and a search in it.

    Returns:
        Both ranks, and the seconds of the product and of the loops.
    """
    captions = [np.flatnonzero(owner == i) for i in range(len(images))]
    marks = [time.perf_counter()]
    scores = images @ texts.T
    marks.append(time.perf_counter())
    image_ranks, text_ranks = np.empty(len(images), np.int64), np.empty(len(texts), np.int64)
    for i, row in enumerate(scores):
        order = np.argsort(-row)
        image_ranks[i] = min(np.flatnonzero(order == caption)[0] for caption in captions[i])
    for t, column in enumerate(scores.T):
        text_ranks[t] = np.flatnonzero(np.argsort(-column) == owner[t])[0]
    marks.append(time.perf_counter())
    return (image_ranks, text_ranks), *np.diff(marks).tolist()


def measure_ranking(args: argparse.Namespace) -> dict:
    """Seconds (median of three) and memory of our ranking, and seconds of the textbook way, on random features."""
    rng = np.random.default_rng(0)

    def features(n: int) -> np.ndarray:
        values = rng.standard_normal((n, args.feature_dims), np.float32)
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    arrays = features(args.num_images), features(args.num_captions), np.arange(args.num_captions) % args.num_images
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        ours = retrieval_ranks(*arrays)
        spent.append(time.perf_counter() - start)
    textbook, product, loop = sort_every_row(*arrays)
    tracemalloc.start()  # after the timings, which it slows
    retrieval_ranks(*arrays)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    differ = sum(np.count_nonzero(a != b) for a, b in zip(ours, textbook))
    return dict(rank=median(spent), memory=memory, product=product, loop=loop, differ=differ)


def run(args: argparse.Namespace) -> None:
    """Measure and print."""
    ranking, spent = measure_ranking(args), measure_encoders(args)
    queries = args.num_images + args.num_captions
    pairs = args.num_images * min(args.top_k, args.num_captions) + args.num_captions * min(args.top_k, args.num_images)
    images = args.num_images * spent['image']
    dual = images + args.num_captions * spent['text'] + ranking['rank']
    joint = images + args.num_captions * spent['text_half'] + ranking['rank'] + pairs * spent['pair']

    device = torch.cuda.get_device_name() if args.device == 'cuda' else f'cpu, {torch.get_num_threads()} threads'
    print(f'{args.num_images} pictures of {args.image_size} pixels, {args.num_captions} captions of {args.text_length}')
    print(f'tokens, encoders of {args.layers} layers and {args.embed_dims} channels; {device}')
    print(f'  precision       {"bfloat16 autocast" if args.amp else "float32"}')
    print(f'  picture         {1000 * spent["image"]:.3f} ms')
    print(f'  caption         {1000 * spent["text"]:.3f} ms, its first half {1000 * spent["text_half"]:.3f} ms')
    print(f'  pair            {1000 * spent["pair"]:.3f} ms')
    print(f'  dual encoder    {dual:.1f} s for {queries} queries')
    print(f'  joint encoder   {joint:.1f} s with {pairs} pairs')
    print(f'  ratio           {joint / dual:.1f} (the paper: {PAPER})')
    print(f'ranking, features of {args.feature_dims} channels; numpy on the CPU')
    print(f'  ours            {ranking["rank"]:.3f} s with the product, {ranking["memory"] / 2**20:.0f} MiB')
    textbook = ranking['product'] + ranking['loop']
    print(f'  sort each row   {textbook:.3f} s with the product, {ranking["loop"]:.3f} s without')
    print(f'  ranks           {ranking["differ"]} of {queries} differ (float32 rounding)')


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    run(parse_args(argv))
    return 0


if __name__ == '__main__':
    sys.exit(main())
