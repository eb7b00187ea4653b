"""Draw how a trained ViLEM proofreads captions: wrong words marked, the best corrections under them.

Usage: python tools/analysis/proofread.py CONFIG CHECKPOINT --out DIR [--num 8]
       python tools/analysis/proofread.py CONFIG CHECKPOINT --out DIR --image FILE --caption 'two red cars'

Without --image, captions of the test set are edited as for ProofreadingMetric and proofread; of each drawn image it is
the first caption with an edit. DIR gets one PNG a caption and a page index.html.
"""

import argparse
import sys
from html import escape
from pathlib import Path
from typing import List, Optional

import torch
from trained_model import add_model_arguments
from trained_retriever import Drawn, TrainedRetriever, spread, write_drawn

from mmvlforge.command_line import run_command
from mmvlforge.structures import VLInputs
from mmvlforge.visualization import load_picture
from mmvlforge.visualization.page import figure, write_page
from mmvlforge.visualization.proofread_caption import ProofreadToken, draw_proofread_caption


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Draw how a trained ViLEM proofreads captions')
    add_model_arguments(parser)
    parser.add_argument('--out', required=True, help='folder for the pictures')
    parser.add_argument('--num', type=int, default=8, help='test images to draw (default: %(default)s)')
    parser.add_argument('--image', help='a picture of your own, with --caption')
    parser.add_argument('--caption', help='its caption, right or wrong')
    parser.add_argument('--path', help="'local' or 'global' (default: the model's first)")
    parser.add_argument('--threshold', type=float, default=0.5, help='P(wrong) of a marked word (default: %(default)s)')
    args = parser.parse_args(argv)
    if (args.image is None) != (args.caption is None):
        parser.error('--image and --caption belong together')
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}')
    return args


def read_caption(
    trained: TrainedRetriever, inputs: VLInputs, path: Optional[str], originals: Optional[List[str]] = None
) -> List[ProofreadToken]:
    """Proofread one picture's caption; the top-3 corrections of each token.

    Args:
        trained: A ViLEM with both heads.
        inputs: One picture and one caption.
        path: Path of the model; None for its first.
        originals: The word tokens before an edition, where they are known.
    """
    readings = trained.model.proofread(inputs, topk=3)
    path = path or next(iter(readings), None)
    if path not in readings:
        raise ValueError(f'path {path!r}: this model has {", ".join(readings) or "none"}')
    reading, mask = readings[path], inputs.word_mask[0]
    if reading.wrong is None or reading.candidates is None:
        raise ValueError(f'{trained.config}: proofreading needs a detection_head and a correction_head')
    tokens = trained.tokens(inputs, 0)
    names = [trained.tokenizer.convert_ids_to_tokens(row) for row in reading.candidates[0][mask].tolist()]
    return [
        ProofreadToken(text, wrong, list(zip(words, scores)), original)
        for text, wrong, words, scores, original in zip(
            tokens, reading.wrong[0][mask].tolist(), names, reading.scores[0][mask].tolist(), originals or tokens
        )
    ]


def draw_own(trained: TrainedRetriever, image: str, caption: str, path: Optional[str], threshold: float) -> Drawn:
    """Proofread a user's pair."""
    trained.need('proofread')
    inputs, _ = trained.prepare([trained.pair(image, caption)])
    tokens = [token._replace(original=None) for token in read_caption(trained, inputs, path)]
    return Drawn(Path(image).stem, draw_proofread_caption(load_picture(image), tokens, threshold), caption, '')


def draw_test_samples(
    trained: TrainedRetriever, num: int, path: Optional[str] = None, threshold: float = 0.5
) -> List[Drawn]:
    """Edit and proofread captions of the test set."""
    trained.need('proofread')
    pictures = []
    for place in spread(num, len(trained.dataset)):
        inputs, samples = trained.prepare([trained.dataset[place]])
        trained.check_drawable(samples)
        edited = trained.model.edit_groups(inputs, samples, trained.model.proofread_seed or 0)
        row = int((edited != inputs.input_ids).any(dim=1).int().argmax())  # the first caption where none is edited
        one = VLInputs(inputs.images, *(part[row : row + 1] for part in inputs[1:]))
        wrong = one._replace(input_ids=edited[row : row + 1])
        tokens = read_caption(trained, wrong, path, trained.tokens(one, 0))
        image = samples[0].img_paths[0]
        found = sum(token.edited and token.wrong > threshold for token in tokens)
        fixed = sum(token.edited and token.candidates[0][0] == token.original for token in tokens)
        note = f'{sum(token.edited for token in tokens)} edited, {found} found, {fixed} put right'
        name = f'{samples[0].index:06d}_{Path(image).stem}'
        caption = ' '.join(token.text for token in tokens)
        pictures.append(Drawn(name, draw_proofread_caption(load_picture(image), tokens, threshold), caption, note))
    return pictures


def run(args: argparse.Namespace) -> None:
    """Load, proofread, draw."""
    trained = TrainedRetriever(args.config, args.checkpoint, args.cfg_options)
    with torch.no_grad():
        if args.image:
            pictures = [draw_own(trained, args.image, args.caption, args.path, args.threshold)]
        else:
            pictures = draw_test_samples(trained, args.num, args.path, args.threshold)
    write_drawn(pictures, args.out)
    cards = ''.join(figure(drawn.picture, drawn.alt, drawn.note) for drawn in pictures)
    title = 'Proofreading'
    write_page(str(Path(args.out, 'index.html')), title, [f'<h1>{escape(title)}</h1><div class=cards>{cards}</div>'])


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
