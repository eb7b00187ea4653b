"""How much faster the frozen image encoder of the starter weights is than the same network as timm builds it.

    OMP_NUM_THREADS=1 python tools/benchmark/encoder_speed.py

encodes random pictures of 224 pixels in ways that take turns: plain (PyTorch's default layout, batch norms apart,
evaluation mode, no gradients), channels-last alone, frozen (batch norms and paddings folded, channels-last), and frozen
in bfloat16. Time is that of the processor, so that other work on the machine counts for less; the best round of each
way and batch size counts. Weights are random, which cost as much time.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from mmvlforge.cli.output import print_table
from mmvlforge.models.encoders import TIMMImageEncoder
from mmvlforge.structures import VLInputs


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Frozen image encoder beside the plain one, on a CPU')
    parser.add_argument('--model', default='tf_efficientnet_lite0', help='of timm (default: tf_efficientnet_lite0)')
    parser.add_argument('--batch-sizes', type=int, nargs='+', default=[1, 4, 16], help='pictures (default: 1 4 16)')
    parser.add_argument('--image-size', type=int, default=224, help='pixels, a multiple of 32 (default: 224)')
    parser.add_argument('--rounds', type=int, default=5, help='times to measure, the best counts (default: 5)')
    args = parser.parse_args(argv)
    if min(*args.batch_sizes, args.rounds) < 1 or args.image_size % 32:
        parser.error('numbers must be positive, --image-size a multiple of 32')
    return args


def ways(model: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """Ways to encode a batch, by name; the plain one first."""
    plain, frozen = TIMMImageEncoder(model).eval(), TIMMImageEncoder(model, frozen=True)
    half = TIMMImageEncoder(model, frozen=True, bf16=True)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)

    def encode(encoder: TIMMImageEncoder, images: Tensor) -> Tensor:
        return encoder(VLInputs(images, *(None,) * 3))  # type: ignore[arg-type]  # there are no captions

    return {
        'plain': lambda images: encode(plain, images),
        'channels-last': lambda images: encode(last, images.contiguous(memory_format=torch.channels_last)),
        'frozen': lambda images: encode(frozen, images),
        'frozen, bfloat16': lambda images: encode(half, images),
    }


@torch.no_grad()
def measure(args: argparse.Namespace) -> dict[int, dict[str, float]]:
    """Milliseconds a picture by batch size and way."""
    found: dict[int, dict[str, float]] = {}
    known = ways(args.model)
    for size in args.batch_sizes:
        images = torch.randn(size, 3, args.image_size, args.image_size)
        best = dict.fromkeys(known, float('inf'))
        for number in range(1 + args.rounds):  # the first one warms up
            for name, encode in known.items():
                start = time.process_time()
                for _ in range(max(1, 8 // size)):
                    encode(images)
                spent = 1e3 * (time.process_time() - start) / (size * max(1, 8 // size))
                best[name] = min(best[name], spent) if number else best[name]
        found[size] = best
    return found


def main(argv: list[str] | None = None) -> int:
    """Run the tool."""
    args = parse_args(argv)
    found = measure(args)
    print(f'{args.model}, {args.image_size} pixels, {torch.get_num_threads()} threads: ms of processor time a picture')
    names = list(next(iter(found.values())))
    rows = [
        [str(size), *(f'{ms:.1f} ({times["plain"] / ms:.1f}x)' for ms in times.values())]
        for size, times in found.items()
    ]
    print_table(['batch', *names], rows)
    best = {name: min(times[name] for times in found.values()) for name in names}
    print_table(['best batch', *names], [['', *(f'{ms:.1f} ({best["plain"] / ms:.1f}x)' for ms in best.values())]])
    return 0


if __name__ == '__main__':
    sys.exit(main())
