"""How much faster the text edition is folded into batches than position by position.

    python tools/benchmark/text_edition_speed.py

edits the same positions of the same random captions in ways that take turns: jointly, as the paper masks and as
TextCorruptor does by default; and with each position masked alone, which is TextCorruptor's joint=False: in batches; in
passes over the batch, the first chosen position of every caption, then the second, and so on; and caption by caption,
position by position. The language model has BERT-base's size and random weights, which cost as much time.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.device import get_device
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from mmvlforge.cli.output import print_table
from mmvlforge.models import TextCorruptor
from mmvlforge.structures import VLInputs

SPECIAL_TOKENS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Text edition: in batches beside one after the other')
    parser.add_argument('--batch-size', type=int, default=64, help='captions (default: 64, of one GPU in the paper)')
    parser.add_argument('--layers', type=int, default=12, help='layers of the language model (default: 12)')
    parser.add_argument('--dims', type=int, default=768, help='its width (default: 768)')
    parser.add_argument('--vocabulary', type=int, default=30522, help='its tokens (default: 30522)')
    parser.add_argument('--rounds', type=int, default=5, help='times to measure, the median counts (default: 5)')
    parser.add_argument('--device', default=get_device(), help='default: a GPU if there is one')
    args = parser.parse_args(argv)
    if min(args.batch_size, args.layers, args.rounds) < 1 or args.vocabulary < 100 or args.dims % 64:
        parser.error('numbers must be positive, --vocabulary at least 100, --dims a multiple of 64')
    return args


def write_language_model(folder: Path, args: argparse.Namespace) -> None:
    """A BERT with random weights and a vocabulary of made-up words."""
    words = [f'word{number}' for number in range(args.vocabulary - len(SPECIAL_TOKENS))]
    (folder / 'vocab.txt').write_text('\n'.join((*SPECIAL_TOKENS, *words)))
    BertTokenizerFast(str(folder / 'vocab.txt')).save_pretrained(folder)
    config = BertConfig(
        vocab_size=args.vocabulary,
        hidden_size=args.dims,
        num_hidden_layers=args.layers,
        num_attention_heads=args.dims // 64,
        intermediate_size=4 * args.dims,
    )
    BertForMaskedLM(config).save_pretrained(folder)


def make_captions(args: argparse.Namespace) -> VLInputs:
    """Captions of 8 to 20 words, as COCO's, with [CLS] and [SEP]."""
    lengths = torch.randint(8, 21, (args.batch_size, 1)) + 2
    places = torch.arange(int(lengths.max()))
    ids = torch.randint(len(SPECIAL_TOKENS), args.vocabulary, (args.batch_size, len(places)))
    ids[:, 0] = SPECIAL_TOKENS.index('[CLS]')
    ids.scatter_(1, lengths - 1, SPECIAL_TOKENS.index('[SEP]'))
    attention_mask = places < lengths
    ids = ids.masked_fill(~attention_mask, 0)
    fields = (ids, attention_mask, (places > 0) & (places < lengths - 1))
    return VLInputs(None, *(field.to(args.device) for field in fields))


def predict(model: nn.Module, ids: Tensor, attention_mask: Tensor, top_k: int) -> Tensor:
    """A draw from the top-k softmax at the only [MASK] of each row ``(B,)``, from logits of all positions."""
    place = (ids == SPECIAL_TOKENS.index('[MASK]')).int().argmax(1)
    logits = model(input_ids=ids, attention_mask=attention_mask.long()).logits
    best = logits[torch.arange(len(ids), device=ids.device), place].topk(top_k)
    return best.indices.gather(1, best.values.softmax(1).multinomial(1))[:, 0]


@torch.no_grad()
def edit_in_passes(model: nn.Module, inputs: VLInputs, chosen: Tensor, top_k: int) -> Tensor:
    """The n-th chosen position of every caption in pass n."""
    edited = inputs.input_ids.clone()
    order = chosen.cumsum(1) * chosen
    for number in range(1, int(order.max()) + 1):
        now = order == number
        rows = now.any(1)
        masked = inputs.input_ids.masked_fill(now, SPECIAL_TOKENS.index('[MASK]'))
        # All captions take part, as a fixed batch does, also those with fewer edits.
        edited[now] = predict(model, masked, inputs.attention_mask, top_k)[rows]
    return edited


@torch.no_grad()
def edit_one_by_one(model: nn.Module, inputs: VLInputs, chosen: Tensor, top_k: int) -> Tensor:
    """Caption by caption, without padding, position by position."""
    edited = inputs.input_ids.clone()
    for row, column in chosen.nonzero().tolist():
        mask = inputs.attention_mask[row]
        ids = inputs.input_ids[row, mask].clone()
        ids[column] = SPECIAL_TOKENS.index('[MASK]')
        edited[row, column] = predict(model, ids[None], mask[mask][None], top_k)[0]
    return edited


def measure(ways: dict[str, Callable], rounds: int, device: str) -> dict[str, float]:
    """Median seconds of each way; they take turns, after one round that warms up."""
    spent = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if device != 'cpu':
                torch.cuda.synchronize()
            if number:
                spent[name].append(time.perf_counter() - start)
    return {name: sorted(seconds)[len(seconds) // 2] for name, seconds in spent.items()}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = parse_args(argv)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        write_language_model(Path(folder), args)
        jointly, corruptor = TextCorruptor(folder), TextCorruptor(folder, joint=False)
        for one in (jointly, corruptor):
            one.init_weights()
        model = BertForMaskedLM.from_pretrained(folder, trust_remote_code=False).to(args.device).eval()
    inputs = make_captions(args)
    chosen = corruptor.choose(inputs)
    plain = (model, inputs, chosen, corruptor.top_k)
    seconds = measure(
        {
            'jointly': lambda: jointly.edit(inputs, chosen),
            'in batches': lambda: corruptor.edit(inputs, chosen),
            'in passes': lambda: edit_in_passes(*plain),
            'one by one': lambda: edit_one_by_one(*plain),
        },
        args.rounds,
        args.device,
    )
    print(f'{len(inputs.input_ids)} captions, {int(chosen.sum())} edits, {args.device}, {args.layers} x {args.dims}')
    best = seconds['in batches']
    rows = [[name, 1000 * value, value / best] for name, value in seconds.items()]
    print_table(['edition', 'ms', 'of in batches'], rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())
