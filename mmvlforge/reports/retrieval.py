"""Write a retrieval model's test as one self-contained HTML page, and print its metrics beside chance.

Usage: python tools/analysis/make_retrieval_report.py CONFIG CHECKPOINT --metrics FILE.json ... --out report.html

The metrics are those that tools/test.py --out writes, for CONFIG and where wanted for its Winoground config; the
pictures are drawn from CONFIG's test set. Proofreading is shown for a ViLEM with the parts it needs.
"""

import argparse
import json
import sys
from html import escape

import proofread
import retrieval_gallery
import similarity_distribution
import torch
import word_patch_maps

from mmvlforge.annotations.json_files import write_json
from mmvlforge.apis.loading import add_model_arguments
from mmvlforge.apis.retrieval import Drawn, Features, TrainedRetriever, spread
from mmvlforge.cli.output import print_table
from mmvlforge.evaluation.retrieval import WINOGROUND_CHANCE, image_text_chance
from mmvlforge.reports.page import figure, metric_table, write_page

# name → (group, whether higher is better, what it says)
MEANINGS = {
    **{
        f'{way}_R@{k}': (group, True, f'Share of {queries} with {wanted} {place}.')
        for way, group, queries, wanted in (
            ('i2t', 'Captions for a picture', 'pictures', 'one of their captions'),
            ('t2i', 'Pictures for a caption', 'captions', 'their picture'),
        )
        for k, place in ((1, 'first'), (5, 'among the first 5'), (10, 'among the first 10'))
    },
    'RSUM': ('Both ways', True, 'Sum of the six.'),
    **{
        f'{name}/{path}': (f'Proofreading, {path} path', True, meaning)
        for path in ('local', 'global')
        for name, meaning in (
            ('detection_AUC', 'How well P(wrong) ranks edited words above kept ones.'),
            ('correction_top1', 'Share of edited words whose original is the first candidate.'),
            ('correction_top5', 'Share of edited words whose original is among the first five.'),
        )
    },
    'text_score': ('Winoground', True, 'For both pictures the right one of two captions with the same words.'),
    'image_score': ('Winoground', True, 'For both captions the right one of two pictures.'),
    'group_score': ('Winoground', True, 'Both.'),
}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Write a retrieval model's test as one HTML page")
    add_model_arguments(parser)
    parser.add_argument('--metrics', nargs='+', required=True, metavar='FILE.json', help='metrics to show')
    parser.add_argument('--out', required=True, help='HTML file to write')
    parser.add_argument('--all-metrics', metavar='FILE.json', help='write the metrics of all files into this one')
    parser.add_argument('--num', type=int, default=6, help='pictures of each kind (default: %(default)s)')
    parser.add_argument('--title', default='Image-text retrieval', help='heading of the page')
    args = parser.parse_args(argv)
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}')
    return args


def read_metrics(paths: list[str]) -> dict[str, float]:
    """Join the metrics of several files."""
    metrics = {}
    for path in paths:
        with open(path, encoding='utf-8') as file:
            try:
                found = json.load(file)
            except json.JSONDecodeError as error:
                raise ValueError(f'{path}:{error.lineno}: broken JSON: {error.msg}') from error
        if not isinstance(found, dict) or not all(type(value) in (int, float) for value in found.values()):
            raise ValueError(f'{path}: must be a JSON object of numbers')
        metrics.update({name: float(value) for name, value in found.items()})
    if not MEANINGS.keys() & metrics.keys():
        raise ValueError(f'{" ".join(paths)}: none of the metrics {", ".join(MEANINGS)}')
    return metrics


def chance_of(metrics: dict[str, float], features: Features) -> dict[str, float]:
    """What guessing gets, for every known metric."""
    known = {**image_text_chance(features.owner, len(features.image)), **WINOGROUND_CHANCE}
    known.update({name.removesuffix('/chance'): value for name, value in metrics.items() if name.endswith('/chance')})
    return {name: known.get(name.split('/')[0]) for name in metrics if name in MEANINGS}


def _cards(head: str, text: str, pictures: list[Drawn], wide: bool = False) -> str:
    figures = ''.join(figure(drawn.picture, drawn.alt, drawn.note) for drawn in pictures)
    return f'<h2>{head}</h2><p>{text}</p><div class={"wide" if wide else "cards"}>{figures}</div>'


def sections(trained: TrainedRetriever, features: Features, num: int) -> list[str]:
    """The page's pictures."""
    model, parts = trained.model, []
    # A baseline has neither; a variant may lack a head.
    detects, corrects = (getattr(model, f'{head}_head', None) is not None for head in ('detection', 'correction'))
    paths = getattr(model, 'paths', {})
    if paths and detects and corrects:
        text = (
            'Captions after an edition by a masked language model. <b>Red underline</b>: the word was edited. '
            '<b>Colour</b>: held for wrong, with P(wrong) and the three most likely originals; ✓ if the first is right.'
        )
        parts.append(_cards('Proofreading', text, proofread.draw_test_samples(trained, num)))
    if 'local' in paths and detects:
        items = [trained.dataset[place] for place in spread(max(num // 2, 1), len(trained.dataset))]
        text = (
            'Grad-CAM on the cross-attention: the patches that speak for a word being right. Each map has its own '
            'scale, so a word that needs no picture shows some red as well.'
        )
        parts.append(_cards('Where it looks', text, [word_patch_maps.draw_item(trained, item) for item in items], True))
    text = (
        'Similarities of matching and of other pairs. Normalised margin: similarity of a matching pair minus the mean '
        'of the others with its picture or caption, divided by the range of all.'
    )
    chart = similarity_distribution.draw({'this model': similarity_distribution.measure(features)})
    parts.append(_cards('Similarities', text, [chart], True))
    galleries = retrieval_gallery.draw(features, num)
    pictures, captions = ([d for d in galleries if d.name.startswith(way)] for way in ('t2i', 'i2t'))
    text = 'Queries at equal distances in the test set, not picked for looks.'
    parts.append(_cards('Pictures for a caption', text, pictures, True))
    parts.append(_cards('Captions for a picture', text, captions))
    return parts


def run(args: argparse.Namespace) -> None:
    """Read, embed, draw, write."""
    metrics = read_metrics(args.metrics)
    trained = TrainedRetriever(args.config, args.checkpoint, args.cfg_options)
    features = trained.features()
    chance = chance_of(metrics, features)
    shown = {name: MEANINGS[name] for name in MEANINGS if name in metrics}
    with torch.no_grad():
        pictures = sections(trained, features, args.num)
    note = (
        f'{len(features.image)} pictures, {len(features.text)} captions. All in percent. <b>Chance</b>: random order, '
        'random choice; for proofreading, a guesser that knows how often each word is wrong and edited, and no more.'
    )
    parts = [f'<h1>{escape(args.title)}</h1><h2>Metrics</h2><p>{note}</p>']
    parts += [f'<div class=narrow>{metric_table(shown, metrics, chance, "Chance")}</div>', *pictures]
    write_page(args.out, args.title, parts)
    if args.all_metrics:
        write_json(args.all_metrics, metrics)
    print_table(['metric', 'model', 'chance'], [[name, metrics[name], chance[name]] for name in shown])


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
