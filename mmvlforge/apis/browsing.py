"""Draw what the model is fed: pictures after augmentation, sub-word tokens, and the labels of both.

A caption is the token sequence: special tokens are grey, '##' opens a token that continues a word. With manipulation
labels, the box is the training target, drawn back onto the transformed picture, and a red underline is a token labelled
manipulated. A group of pictures and captions is drawn whole.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import IterableDataset

from mmvlforge.config_files import load_config, told_of_config
from mmvlforge.datasets.nested_datasets import pipeline_tokenizer
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

__all__ = ['browse', 'fed_group', 'fed_picture', 'fed_sample']

MIN_WIDTH = 480
SIZE = 16


def browse(
    config: str, out: str | Path, split: str = 'train', num: int = 16, cfg_options: dict | None = None
) -> Iterator[tuple[Path, str]]:
    """Draw items of a data set, one PNG each.

    Args:
        config: Config file, or the name of one of ours.
        out: Folder for the pictures; made if need be.
        split: Whose loader: ``'train'``, ``'val'`` or ``'test'``.
        num: How many items, from the first on.
        cfg_options: Settings over the config.

    Yields:
        Each file, and what it shows.

    Raises:
        ValueError: The config has no such loader, or no tokenizer in its pipeline.
    """
    cfg = load_config(config, cfg_options)
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'{config}: has no {split}_dataloader')
    with told_of_config(config):
        dataset = DATASETS.build(loader['dataset'])
    tokenizer = pipeline_tokenizer(dataset)
    if tokenizer is None:
        raise ValueError(f'{config}: the pipeline of {split}_dataloader has no tokenizer')
    visualizer = ManipulationVisualizer(name='browse', min_width=MIN_WIDTH)
    visualizer.dataset_meta = getattr(dataset, 'metainfo', None)
    streamed = isinstance(dataset, IterableDataset)
    for item in islice(dataset if streamed else (dataset[i] for i in range(len(dataset))), num):
        inputs, source = item['inputs'], item['data_samples'].metainfo
        if 'captions' in source:  # a group
            drawn = fed_group(item, tokenizer)
            path = source['img_paths'][0]
            told = f'{len(inputs.get("image", ()))} pictures, {len(inputs["input_ids"])} captions'
        else:
            picture = fed_picture(item)
            drawn = visualizer.draw(picture, fed_sample(item, picture, tokenizer))
            path = source.get('img_path', 'text')
            height, width = picture.shape[:2]
            flip = ', flipped' if source.get('flip') else ''
            told = f'{width}x{height} pixels{flip}, {len(inputs["input_ids"])} tokens'
        out_file = Path(out, f'{source["index"]:06d}_{Path(path).stem}.png')
        save_picture(drawn, str(out_file))
        yield out_file, told


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
