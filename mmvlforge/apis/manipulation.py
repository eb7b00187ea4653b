"""Ask a trained manipulation detector about one picture and its caption: faked, how, where, which words?

Usage: python tools/analysis/check_pair.py CONFIG CHECKPOINT PICTURE 'the caption' [--draw FILE.png] [--out FILE.json]

A score is what the model learnt from its training set; on pictures and captions of another kind it can be wrong with
confidence.
"""

import argparse
import sys

import torch
from mmengine.config import Config
from mmengine.model import BaseModel

from mmvlforge.annotations.json_files import write_json
from mmvlforge.apis.loading import add_model_arguments, load_trained
from mmvlforge.datasets import DGM4Dataset
from mmvlforge.datasets.collate import vl_collate
from mmvlforge.registry import DATASETS
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import ManipulationVisualizer, load_picture
from mmvlforge.visualization.drawing import save_picture


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Is a picture with its caption faked, how, where, which words?')
    add_model_arguments(parser)
    parser.add_argument('picture', help='picture file')
    parser.add_argument('caption', help='its caption, in quotes')
    parser.add_argument('--draw', metavar='FILE', help='draw the answer, the format told by the ending')
    parser.add_argument('--out', metavar='FILE.json', help='write the answer')
    args = parser.parse_args(argv)
    if not args.caption.strip():
        parser.error('the caption is empty')
    return args


def build_dataset(cfg: Config, config: str) -> DGM4Dataset:
    """The test set of a config, for its tokenizer, pipeline and class names; its files are not read."""
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True))
    if not isinstance(dataset, DGM4Dataset):
        raise ValueError(f'{config}: its test set is a {type(dataset).__name__}, must be one of manipulation detection')
    return dataset


@torch.no_grad()
def predict(model: BaseModel, dataset: DGM4Dataset, picture: str, caption: str) -> VLDataSample:
    """The model's answer.

    Args:
        model: A ManipulationDetector.
        dataset: From :func:`build_dataset`.
        picture: File.
        caption: Its words.

    Raises:
        ValueError: The picture is missing or damaged.
    """
    unknown = dict(fake_cls='', image_type=0, text_type=0, box=None, fake_words=None)
    pair = dataset.tokenizer(dict(index=0, img_path=picture, text=caption, **unknown))
    return model.test_step(vl_collate([dataset.pipeline(pair)]))[0]


def answer(sample: VLDataSample, dataset: DGM4Dataset) -> dict:
    """What a sample's predictions say, in plain values.

    Returns:
        ``fake`` (P), ``types`` (P of each), ``box`` (xyxy pixels of the stored picture, or None), ``words`` held for
        manipulated and ``positions`` of them in ``text.split()``.
    """
    names = [*dataset.image_types[1:], *dataset.text_types[1:]]
    positions = sorted({word for word, fake in zip(sample.word_ids, sample.pred_tokens.tolist()) if fake == 1})
    box = sample.get('pred_box')
    words = sample.text.split()
    return dict(
        fake=sample.pred_fake_score,
        types=dict(zip(names, sample.pred_type_scores.float().sigmoid().tolist())),
        box=None if box is None else [round(value, 1) for value in box.tolist()],
        words=[words[position] for position in positions],
        positions=positions,
    )


def run(args: argparse.Namespace) -> None:
    """Load, ask, print, and draw if asked."""
    cfg, model = load_trained(args.config, args.checkpoint, args.cfg_options)
    dataset = build_dataset(cfg, args.config)
    sample = predict(model, dataset, args.picture, args.caption)
    found = answer(sample, dataset)
    print(f'{"fake" if found["fake"] > 0.5 else "real"}, P(fake) = {found["fake"]:.3f}')
    for name, probability in found['types'].items():
        print(f'  {name.replace("_", " "):16} {probability:.3f}')
    print(f'manipulated region: {found["box"] or "none"} (x1, y1, x2, y2 in pixels)')
    print(f'manipulated words: {" ".join(found["words"]) or "none"}')
    if args.out:
        write_json(args.out, found)
    if args.draw:
        visualizer = ManipulationVisualizer(name='check_pair')
        visualizer.dataset_meta = dataset.metainfo
        save_picture(visualizer.draw(load_picture(args.picture), sample, draw_gt=False), args.draw)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
