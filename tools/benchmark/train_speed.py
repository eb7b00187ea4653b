"""How fast a config trains, where the time goes, and how near that is to what the device can do.

    python tools/benchmark/train_speed.py configs/dgm4/dca_imq.py --synthetic --batch-size 32 --amp

Where the data set's files are missing, or with --synthetic, the batches are random and made beforehand: the time in
data is then the transfer alone. The model is not initialised from a checkpoint: weights do not change the speed.

The step of a dual encoder or of ViLEM is split into its parts too: edition of the captions, momentum (update and
keys), contrastive (encoders and loss), local and global path, each forward and backward; and ViLEM's step is compared
with one that is contrastive only. A path's gradients stop at the picture's features, whose own backward pass counts as
contrastive. With --random-lm captions are edited by a BERT with random weights, as wide and deep as the text encoder.
"""

import argparse
import copy
import itertools
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from text_edition_speed import write_language_model
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmvlforge.models import DualEncoder
from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures

PHASES = ('data', 'forward', 'backward', 'optimiser')
# Captions in tokens, special ones included: DGM4's mean with RoBERTa, COCO's with BERT. They vary by a third of it.
TEXT_LENGTH = 22
PAIR_LENGTH = 13


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Measure the training speed of a config')
    parser.add_argument('config')
    parser.add_argument('--batch-size', type=int, help="samples a step (default: the config's)")
    parser.add_argument('--steps', type=int, default=20, help='steps to measure (default: 20)')
    parser.add_argument('--warmup', type=int, default=5, help='steps before that (default: 5)')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast (AutocastOptimWrapper)')
    parser.add_argument('--compile', action='store_true', help='torch.compile the model')
    parser.add_argument('--device', choices=('cpu', 'cuda'), help='default: cuda if there is one')
    parser.add_argument('--synthetic', action='store_true', help='random batches, even if the data set is there')
    parser.add_argument('--random-lm', action='store_true', help='edit captions by a language model of random weights')
    parser.add_argument('--image-size', type=int, help="side of synthetic pictures (default: the config's image_size)")
    parser.add_argument(
        '--text-length',
        type=float,
        help=f'mean tokens of synthetic captions (default: {TEXT_LENGTH}, of a dual encoder {PAIR_LENGTH})',
    )
    args = parser.parse_args(argv)
    for name in ('batch_size', 'steps', 'image_size', 'text_length'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {value}')
    if args.warmup < 0:
        parser.error(f'--warmup must not be negative, got {args.warmup}')
    if not os.path.isfile(args.config):
        parser.error(f'{args.config} is not a file')
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: no CUDA device here')
    args.device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return args


def loader_batches(dataloader: dict) -> Iterator[dict]:
    """Batches of the config's own loader, epoch after epoch. Raises FileNotFoundError without its files."""
    loader = Runner.build_dataloader(dataloader, seed=0)
    return (batch for _ in itertools.count() for batch in loader)


def synthetic_batches(
    batch_size: int, image_size: int | None, text_length: float, vocabulary: int, pin: bool, pairs: bool = False
) -> Iterator[dict]:
    """Random batches in the form that the packing transforms and pseudo_collate give, four in turn.

    Args:
        batch_size: B.
        image_size: Side of the pictures in pixels; None makes none.
        text_length: Mean number of tokens.
        vocabulary: Token ids are drawn below this.
        pin: Pin the memory, as a loader would for a GPU.
        pairs: Give the labels of a retrieval model instead of the manipulation detector's.
    """
    generator = torch.Generator().manual_seed(0)

    def integers(low: int, high: int, *shape: int, dtype=torch.int64) -> torch.Tensor:
        tensor = torch.randint(low, high, shape, generator=generator, dtype=dtype)
        return tensor.pin_memory() if pin else tensor

    batches = []
    for _ in range(4):
        lengths = text_length * (1 + torch.randn(batch_size, generator=generator) / 3)
        lengths = lengths.round().int().clamp(min=3)
        inputs, targets = defaultdict(list), defaultdict(list)
        for length in lengths.tolist():
            inputs['input_ids'].append(integers(min(5, vocabulary - 1), vocabulary, length))
            word_mask = torch.ones(length, dtype=torch.bool)
            word_mask[[0, -1]] = False
            inputs['word_mask'].append(word_mask)
            if image_size:
                inputs['image'].append(integers(0, 256, 3, image_size, image_size, dtype=torch.uint8))
            if pairs:
                targets['image_ids'].append(integers(0, 1_000_000))
                continue
            image_type, text_type = integers(0, 3), integers(0, 3)
            has_box = image_type > 0
            targets['fake'].append(((image_type > 0) | (text_type > 0)).long())
            targets['image_type'].append(image_type)
            targets['text_type'].append(text_type)
            targets['box'].append(torch.tensor([0.5, 0.5, 0.2, 0.3]) * has_box)
            targets['has_box'].append(has_box)
            targets['tokens'].append(integers(0, 2, length).masked_fill(~word_mask, -100))
        batches.append(dict(inputs=dict(inputs), targets=dict(targets)))
    # A preprocessor may write into the dicts of its batch.
    return ({name: dict(part) for name, part in batch.items()} for batch in itertools.cycle(batches))


class Clock:
    """Seconds between marks: wall time on a CPU, events on a GPU, read after one synchronisation."""

    def __init__(self, device: str) -> None:
        self.cuda = device == 'cuda'

    def mark(self):
        """A point in time."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, marks: list) -> list[float]:
        """Seconds from each mark to the next."""
        if not self.cuda:
            return [end - start for start, end in zip(marks, marks[1:])]
        torch.cuda.synchronize()
        return [start.elapsed_time(end) / 1000 for start, end in zip(marks, marks[1:])]


def train_step(model: BaseModel, optim_wrapper: OptimWrapper, batches: Iterator[dict], clock: Clock) -> list[float]:
    """One step as MMEngine's training loop makes it; the seconds of its four phases."""
    marks = [clock.mark()]
    data = model.data_preprocessor(next(batches), training=True)
    marks.append(clock.mark())
    with optim_wrapper.optim_context(model):
        loss, _ = model.parse_losses(model(**data, mode='loss'))
    marks.append(clock.mark())
    optim_wrapper.backward(optim_wrapper.scale_loss(loss))
    marks.append(clock.mark())
    if optim_wrapper.should_update():
        optim_wrapper.step()
        optim_wrapper.zero_grad()
    marks.append(clock.mark())
    return clock.between(marks)


def split_step(
    model: DualEncoder, optim_wrapper: OptimWrapper, batches: Iterator[dict], clock: Clock
) -> dict[str, float]:
    """Seconds of each part of one step, forward and backward, without the optimiser."""
    data = model.data_preprocessor(next(batches), training=True)
    inputs, targets = data['inputs'], data['targets']
    spent = {}

    def measure(name: str, losses_of) -> None:
        marks = [clock.mark()]
        with optim_wrapper.optim_context(model):
            losses = losses_of()
        if losses:
            sum(losses.values()).backward()
        marks.append(clock.mark())
        (spent[name],) = clock.between(marks)
        model.zero_grad(set_to_none=True)

    measure('momentum', lambda: model.momentum_keys(inputs) and {})
    measure('contrastive', lambda: DualEncoder.loss(model, inputs, targets))
    spent['contrastive'] -= spent['momentum']
    if not hasattr(model, 'paths'):
        return spent
    measure('edition', lambda: model.corruptor(inputs) and {})
    with torch.no_grad(), optim_wrapper.optim_context(model):
        edited, image = model.corruptor(inputs), model.image_encoder(inputs)
    image = ImageFeatures(image.cls.requires_grad_(), tuple(level.requires_grad_() for level in image.levels))
    for name in model.paths:
        measure(name, lambda name=name: model.path_loss(name, image, inputs, edited))
    return spent


def count_flops(model: BaseModel, optim_wrapper: OptimWrapper, batches: Iterator[dict]) -> int:
    """Floating-point operations of matrix products and convolutions, forward and backward, for one batch."""
    data = model.data_preprocessor(next(batches), training=True)
    # Plain attention: its products are all counted, and nothing is counted twice that a fused kernel recomputes.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        with optim_wrapper.optim_context(model):
            loss, _ = model.parse_losses(model(**data, mode='loss'))
        loss.backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops()


def matrix_rate(device: str, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Floating-point operations per second of a large matrix product, the best of several."""
    size = 8192 if device == 'cuda' else 1536
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    clock, best, spent = Clock(device), float('inf'), 0.0
    a @ b
    while spent < seconds:
        start = clock.mark()
        a @ b
        (took,) = clock.between([start, clock.mark()])
        best, spent = min(best, took), spent + took
    return 2 * size**3 / best


def peak_memory(device: str) -> float:
    """Peak memory in GiB: allocated tensors on a GPU, the whole process on a CPU."""
    if device == 'cuda':
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(args: argparse.Namespace) -> dict:
    """Build, train and time."""
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.get('default_scope', 'mmvlforge'))
    dataloader = copy.deepcopy(cfg.train_dataloader)
    batch_size = args.batch_size or dataloader.batch_size
    dataloader.batch_size = batch_size

    with tempfile.TemporaryDirectory() as folder:
        if args.random_lm:
            text = cfg.model.text_encoder
            size = dict(dims=text.get('embed_dims', 768), layers=text.get('num_layers', 12))
            vocabulary = text.get('vocab_size', 30522)
            write_language_model(Path(folder), argparse.Namespace(vocabulary=vocabulary, **size))
            cfg.model.corruptor.name = folder
        model = MODELS.build(cfg.model).to(args.device)
        if hasattr(model, 'corruptor'):
            model.corruptor.init_weights()
    model.train()
    optim_cfg = copy.deepcopy(cfg.optim_wrapper)
    if args.amp:
        optim_cfg.type = 'AutocastOptimWrapper'
    amp = optim_cfg.type in ('AutocastOptimWrapper', 'AmpOptimWrapper')
    optim_wrapper = build_optim_wrapper(model, optim_cfg)

    batches, source = None, 'synthetic batches'
    if not args.synthetic:
        try:
            batches, source = loader_batches(dataloader), "batches of the config's training set"
        except FileNotFoundError as error:
            source = f'synthetic batches, because of: {error}'
    if batches is None:
        image_size = args.image_size or cfg.get('image_size', (None,))[0]
        embeddings = [m.num_embeddings for m in model.modules() if isinstance(m, torch.nn.Embedding)]
        pin = args.device == 'cuda'
        vocabulary, pairs = max(embeddings, default=100), isinstance(model, DualEncoder)
        text_length = args.text_length or (PAIR_LENGTH if pairs else TEXT_LENGTH)
        batches = synthetic_batches(batch_size, image_size, text_length, vocabulary, pin, pairs)

    flops = count_flops(model, optim_wrapper, batches)
    if args.compile:
        model.compile()
    clock = Clock(args.device)
    for _ in range(args.warmup):
        train_step(model, optim_wrapper, batches, clock)
    if args.device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    spent = [train_step(model, optim_wrapper, batches, clock) for _ in range(args.steps)]
    phases = {name: sum(step) / args.steps for name, step in zip(PHASES, zip(*spent))}
    memory = peak_memory(args.device)  # before the large matrices
    parts = {}
    if isinstance(model, DualEncoder):
        steps = [split_step(model, optim_wrapper, batches, clock) for _ in range(1 + args.steps)][1:]
        parts = {name: sum(step[name] for step in steps) / args.steps for name in steps[0]}
    rate = matrix_rate(args.device, torch.bfloat16 if amp else torch.float32)

    return dict(
        source=source,
        amp=amp,
        batch_size=batch_size,
        parameters=sum(p.numel() for p in model.parameters()),
        phases=phases,
        parts=parts,
        flops=flops,
        memory=memory,
        rate=rate,
    )


def report(args: argparse.Namespace, result: dict) -> None:
    """Print what was measured."""
    step = sum(result['phases'].values())
    device = torch.cuda.get_device_name() if args.device == 'cuda' else f'cpu, {torch.get_num_threads()} threads'
    kind = 'bfloat16 autocast' if result['amp'] else 'float32'
    print(f'{args.config} on {device}: {kind}{", compiled" if args.compile else ""}')
    print(f'  data            {result["source"]}')
    print(f'  model           {result["parameters"] / 1e6:.1f} M parameters')
    print(f'  batch           {result["batch_size"]} samples, {args.steps} steps after {args.warmup}')
    print(f'  speed           {result["batch_size"] / step:.2f} samples/s, {1000 * step:.1f} ms a step')
    for name, spent in result['phases'].items():
        print(f'  {name:<16}{1000 * spent:.1f} ms, {100 * spent / step:.0f} %')
    for name, spent in result['parts'].items():
        print(f'    {name:<14}{1000 * spent:.1f} ms')
    if len(result['parts']) > 2:
        aside = sum(result['phases'][name] for name in ('data', 'optimiser'))
        alone = aside + result['parts']['momentum'] + result['parts']['contrastive']
        print(f'  contrastive     {1000 * alone:.1f} ms for that step alone; the whole one costs {step / alone:.2f} x')
    print(f'  peak memory     {result["memory"]:.2f} GiB {"on the GPU" if args.device == "cuda" else "(process)"}')
    print(f'  work            {result["flops"] / 1e9:.1f} GFLOP a step, {result["flops"] / step / 1e9:.1f} GFLOP/s')
    print(
        f'  matrix rate     {result["rate"] / 1e9:.1f} GFLOP/s measured; training reaches '
        f'{100 * result["flops"] / step / result["rate"]:.0f} %'
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = parse_args(argv)
    try:
        result = measure(args)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    report(args, result)
    return 0


if __name__ == '__main__':
    sys.exit(main())
