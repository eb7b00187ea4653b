"""How often the text edition makes a caption of the mini set false for its picture.

Usage: python tools/analysis/edit_quality.py CONFIG [--split test] [--seed 0] [--examples 10]

Edits every caption of the split once with the config's corruptor and asks the scenes that the pictures were drawn
from. "Alike" is the share of edits that put a word of the same kind, such as a colour for a colour.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer

from mmvlforge.cli.output import print_table
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'data'))
from mmvlforge.forge.caption_scenes import Scene, caption_is_false, word_kind  # noqa: E402
from mmvlforge.forge.captions import read_scenes  # noqa: E402


class Told(NamedTuple):
    """A caption's words, what each states, and the scene, told from the group that the caption starts with."""

    words: list[str]
    roles: list[str]
    scene: Scene


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='How often an edited caption of the mini set is false')
    parser.add_argument('config', help='config with data_root and model.corruptor')
    parser.add_argument('--split', default='test', choices=('train', 'val', 'test'), help='default: test')
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    parser.add_argument('--examples', type=int, default=10, help='edited captions to print (default: 10)')
    return parser.parse_args(argv)


def read_captions(data_root: Path, split: str) -> list[Told]:
    """All captions of a split."""
    scenes = read_scenes(data_root / 'scenes.json')
    images = json.loads((data_root / 'dataset_mini.json').read_text())['images']
    return [
        Told(sentence['tokens'], caption.roles(scene), scene)
        for image in images
        if image['split'] == split
        for scene, captions in [scenes[image['cocoid']]]
        for sentence, caption in zip(image['sentences'], captions)
    ]


def edit(captions: list[Told], cfg: Config, seed: int) -> list[list[str]]:
    """The words of each caption after the edition: every word of the mini set is one token."""
    corruptor = MODELS.build(cfg.model.corruptor)
    corruptor.init_weights()
    tokenizer = AutoTokenizer.from_pretrained(corruptor.name)
    ids = [torch.tensor(tokenizer.convert_tokens_to_ids(caption.words)) for caption in captions]
    if any((row == tokenizer.unk_token_id).any() for row in ids):
        raise ValueError(f'{corruptor.name} lacks words of {cfg.data_root}: train it on these captions')
    special = [torch.tensor([number]) for number in (tokenizer.cls_token_id, tokenizer.sep_token_id)]
    padded = pad_sequence([torch.cat([special[0], row, special[1]]) for row in ids], batch_first=True)
    places = torch.arange(padded.shape[1])
    lengths = torch.tensor([len(row) for row in ids])[:, None]
    inputs = VLInputs(None, padded, places < lengths + 2, (places > 0) & (places <= lengths))
    torch.manual_seed(seed)
    edited = corruptor(inputs).input_ids
    return [tokenizer.convert_ids_to_tokens(row[1 : len(old) + 1].tolist()) for row, old in zip(edited, ids)]


def run(args: argparse.Namespace) -> None:
    """Edit, judge, print."""
    cfg = Config.fromfile(args.config)
    if 'data_root' not in cfg or 'corruptor' not in cfg.get('model', {}):
        raise ValueError(f'{args.config}: needs data_root and model.corruptor, as configs/vilem/vilem_mini.py has them')
    init_default_scope(cfg.get('default_scope', 'mmvlforge'))
    captions = read_captions(Path(cfg.data_root), args.split)
    changed = [(told, words) for told, words in zip(captions, edit(captions, cfg, args.seed)) if words != told.words]
    if not changed:
        raise ValueError(f'{args.config}: its corruptor changed none of {len(captions)} captions')
    false = [caption_is_false(words, told.roles, told.scene) for told, words in changed]
    edits, alike = Counter(), Counter()
    for told, words in changed:
        for old, new in zip(told.words, words):
            if old != new:
                edits[word_kind(old)] += 1
                alike[word_kind(old)] += word_kind(old) == word_kind(new)
    for (told, words), is_false in list(zip(changed, false))[: args.examples]:
        shown = ' '.join(new if old == new else f'[{old}->{new}]' for old, new in zip(told.words, words))
        print(f'{"false" if is_false else "TRUE "}  {shown}')
    print(f'{len(captions)} captions, {len(changed)} edited, {edits.total() / len(changed):.2f} words each')
    print(f'false for their picture: {100 * sum(false) / len(false):.2f} %')
    rows = [[kind, edits[kind], 100 * alike[kind] / edits[kind]] for kind in sorted(edits)]
    print_table(['edited word', 'edits', 'alike %'], rows)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
