"""Draw what the model is fed: pictures after augmentation, sub-word tokens, and the labels of both.

Usage: python tools/analysis/browse_dataset.py CONFIG --out DIR [--split train|val|test] [--num N]

The box is the training target, drawn back onto the transformed picture. The caption is the token sequence: special
tokens are grey, '##' opens a token that continues a word, and a red underline is a token labelled manipulated.
"""

import argparse
import sys
from pathlib import Path
from typing import List, Optional

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

from mmvlforge.registry import DATASETS
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import ManipulationVisualizer, blank_picture


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
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


def fed_picture(item: dict) -> np.ndarray:
    """The picture as the network gets it, before normalisation, RGB uint8 ``(H, W, 3)``."""
    image = item['inputs'].get('image')
    return blank_picture() if image is None else image.flip(0).permute(1, 2, 0).contiguous().numpy()


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
    visualizer = ManipulationVisualizer(name='browse_dataset')
    visualizer.dataset_meta = dataset.metainfo
    for i in range(min(args.num, len(dataset))):
        item = dataset[i]
        picture = fed_picture(item)
        sample = fed_sample(item, picture, dataset.tokenizer.tokenizer)
        source = item['data_samples'].metainfo
        out_file = Path(args.out, f'{sample.index:06d}_{Path(source.get("img_path", "text")).stem}.png')
        visualizer.add_datasample('fed', picture, sample, out_file=str(out_file))
        height, width = picture.shape[:2]
        flip = ', flipped' if source.get('flip') else ''
        print(f'{out_file}: {width}x{height} pixels{flip}, {len(item["inputs"]["input_ids"])} tokens')


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; 2 means that a file or an argument is wrong, and standard error says which and how."""
    args = parse_args(argv)
    try:
        run(args)
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
