"""Draw what the model is fed: pictures after augmentation, sub-word tokens, and the labels of both.

Usage: python tools/analysis/browse_dataset.py CONFIG --out DIR [--split train|val|test] [--num N]

A caption is the token sequence: special tokens are grey, '##' opens a token that continues a word. With manipulation
labels, the box is the training target, drawn back onto the transformed picture, and a red underline is a token labelled
manipulated. A group of pictures and captions is drawn whole.
"""

import argparse
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.data import IterableDataset

from mmvlforge.datasets.nested_datasets import caption_tokenizer
from mmvlforge.registry import DATASETS
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import ManipulationVisualizer, blank_picture
from mmvlforge.visualization.drawing import (
    FAINT,
    MARGIN,
    Word,
    framed_picture,
    save_picture,
    stack_panels,
    text_panel,
    wrap,
)

MIN_WIDTH = 480
SIZE = 16


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Draw what the model is fed')
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', required=True, help='folder for the pictures')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train', help='default: %(default)s')
    parser.add_argument('--num', type=int, default=16, help='how many items, from the first on (default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='settings to override, key=value')
    args = parser.parse_args(argv)
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}')
    return args


def as_picture(image: Tensor) -> np.ndarray:
    """A picture as the network gets it, before normalisation: BGR ``(3, H, W)`` to RGB uint8 ``(H, W, 3)``."""
    return image.flip(0).permute(1, 2, 0).contiguous().numpy()


def fed_picture(item: dict) -> np.ndarray:
    """The picture of an item, or a plate that says there is none, RGB uint8 ``(H, W, 3)``."""
    image = item['inputs'].get('image')
    return blank_picture() if image is None else as_picture(image)


def fed_group(item: dict, tokenizer) -> np.ndarray:
    """Pictures and captions of a group, RGB uint8 ``(H, W, 3)``.

    Args:
        item: One item of a caption data set: ``inputs``, ``targets`` and ``data_samples``.
        tokenizer: The Hugging Face tokenizer that made the tokens.
    """
    inputs = item['inputs']
    pictures = [as_picture(image) for image in inputs.get('image', ())] or [blank_picture()]
    panel, _ = framed_picture(np.concatenate(pictures, axis=1), MIN_WIDTH)
    lines = []
    for ids, in_word in zip(inputs['input_ids'], inputs['word_mask']):
        pieces = tokenizer.convert_ids_to_tokens(ids.tolist())
        words = [Word(piece) if word else Word(piece, color=FAINT) for piece, word in zip(pieces, in_word.tolist())]
        lines += wrap(words, SIZE, panel.width - 2 * MARGIN)
    return stack_panels([panel, text_panel(lines, panel.width, SIZE)])


def fed_sample(item: dict, picture: np.ndarray, tokenizer) -> VLDataSample:
    """The training targets as a sample that the visualizer draws: tokens stand for words, boxes fit ``picture``.

    Args:
        item: One item of the data set: ``inputs``, ``targets`` and ``data_samples``.
        picture: From :func:`fed_picture`.
        tokenizer: The Hugging Face tokenizer that made the tokens.
    """
    source, targets = item['data_samples'], item['targets']
    ordinary = (targets['tokens'] != -100).nonzero().flatten().tolist()
    pieces = [tokenizer.decode([token]).strip() for token in item['inputs']['input_ids'].tolist()]
    for place, word, before in zip(ordinary, source.word_ids, [None, *source.word_ids]):
        if word == before:
            pieces[place] = '##' + pieces[place].removeprefix('##')
    # one piece must stay one word of the drawn caption
    pieces = [piece.replace(' ', '␣') or '␣' for piece in pieces]
    sample = VLDataSample(metainfo=dict(index=source.index, text=' '.join(pieces), word_ids=ordinary))
    sample.gt_fake = int(targets['fake'])
    sample.gt_image_type = int(targets['image_type'])
    sample.gt_text_type = int(targets['text_type'])
    sample.gt_tokens = targets['tokens'][ordinary]
    sample.gt_box = None
    if targets['has_box'] and 'image' in item['inputs']:
        centre, size = targets['box'][:2], targets['box'][2:]
        corners = np.concatenate([centre - size / 2, centre + size / 2])
        height, width = picture.shape[:2]
        sample.gt_box = targets['box'].new_tensor(corners * [width, height, width, height])
    return sample


def run(args: argparse.Namespace) -> None:
    """Build the data set, take items, draw them."""
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmvlforge'))
    loader = cfg.get(f'{args.split}_dataloader')
    if not loader:
        raise ValueError(f'{args.config}: has no {args.split}_dataloader')
    dataset = DATASETS.build(loader['dataset'])
    tokenizer = caption_tokenizer(dataset)
    visualizer = ManipulationVisualizer(name='browse_dataset', min_width=MIN_WIDTH)
    visualizer.dataset_meta = getattr(dataset, 'metainfo', None)
    streamed = isinstance(dataset, IterableDataset)
    for item in islice(dataset if streamed else (dataset[i] for i in range(len(dataset))), args.num):
        inputs, source = item['inputs'], item['data_samples'].metainfo
        if tokenizer:
            drawn = fed_group(item, tokenizer)
            path = source['img_paths'][0]
            told = f'{len(inputs.get("image", ()))} pictures, {len(inputs["input_ids"])} captions'
        else:
            picture = fed_picture(item)
            drawn = visualizer.draw(picture, fed_sample(item, picture, dataset.tokenizer.tokenizer))
            path = source.get('img_path', 'text')
            height, width = picture.shape[:2]
            flip = ', flipped' if source.get('flip') else ''
            told = f'{width}x{height} pixels{flip}, {len(inputs["input_ids"])} tokens'
        out_file = Path(args.out, f'{source["index"]:06d}_{Path(path).stem}.png')
        save_picture(drawn, str(out_file))
        print(f'{out_file}: {told}')


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
