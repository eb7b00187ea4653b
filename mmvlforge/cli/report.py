"""``mmvlforge report``: a test run as an HTML page, and pictures of what a retrieval model does."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmvlforge.cli.output import CfgOptions, ForgeCommand, new_app, print_table, read_cfg_options
from mmvlforge.cli.score import Classes, FormatConfig, read_format

if TYPE_CHECKING:
    from mmvlforge.visualization.drawing import Drawn

__all__ = ['app']

app = new_app("write a test run as an HTML page, draw a retrieval model's work")

Config = Annotated[str, typer.Argument(help='config file, or the name of one of ours such as vilem/vilem_mini')]
Checkpoint = Annotated[str, typer.Argument(help='checkpoint file')]
Page = Annotated[Path, typer.Option(help='HTML file to write')]
Folder = Annotated[Path, typer.Option(help='folder for the pictures')]
Image = Annotated[str | None, typer.Option(help='a picture of your own, with --caption')]
Caption = Annotated[str | None, typer.Option(help='its caption, right or wrong')]


@app.command()
def manipulation(
    annotations: Annotated[Path, typer.Argument(help='annotation file: a JSON array, or one record a line')],
    predictions: Annotated[Path, typer.Argument(help='JSON Lines, one line for each record, in any order')],
    out: Page,
    image_root: Annotated[
        str | None, typer.Option(help='folder that "image" of a record is relative to; without it, no pictures')
    ] = None,
    num: Annotated[int, typer.Option(min=0, help='how many samples to draw')] = 24,
    metrics: Annotated[
        Path | None, typer.Option(help='JSON file with the metrics to show; without it they are computed')
    ] = None,
    trivial: Annotated[
        Path | None, typer.Option(help="JSON file with the trivial predictor's; without it they are computed")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help='calibration.json of the exported model, to show what its scores are worth')
    ] = None,
    title: Annotated[str, typer.Option(help='heading of the page')] = 'Manipulation detection and grounding',
    classes: Classes = None,
    config: FormatConfig = None,
) -> None:
    """a test run of manipulation detection: metrics, counts and pictures, from a prediction file"""
    from mmvlforge.annotations.annotation_file import read_annotations
    from mmvlforge.apis.calibration import read_calibration
    from mmvlforge.evaluation.predictions import read_predictions
    from mmvlforge.evaluation.scoring import join, score, score_rows, trivial_predictions
    from mmvlforge.manifest import check_made_from, file_fingerprint
    from mmvlforge.reports.manipulation import read_metrics, write_report

    if metrics:
        made_from = dict(annotations=file_fingerprint(annotations), predictions=file_fingerprint(predictions))
        check_made_from(metrics, **made_from)
    fmt, loader = read_format(classes, config)
    records = read_annotations(annotations)
    rows, lines = read_predictions(predictions)
    joined = join(records, rows, fmt, annotations, predictions, lines)
    shown = read_metrics(metrics) if metrics else score_rows(joined)
    guess = trivial_predictions(records, fmt, joined.rule_boxes)
    chance = read_metrics(trivial) if trivial else score(records, guess, fmt=fmt)
    learnt = read_calibration(calibration).fitted if calibration else None
    write_report(joined, out, title, shown, chance, image_root, num, loader, learnt)
    print(f'{out}: {len(records)} samples')


@app.command(cls=ForgeCommand)
def retrieval(
    config: Config,
    checkpoint: Checkpoint,
    metrics: Annotated[list[Path], typer.Option(metavar='FILE ...', help='JSON files with the metrics to show')],
    out: Page,
    all_metrics: Annotated[Path | None, typer.Option(help='write the metrics of all files into this JSON file')] = None,
    num: Annotated[int, typer.Option(min=1, help='pictures of each kind')] = 6,
    title: Annotated[str, typer.Option(help='heading of the page')] = 'Image-text retrieval',
    cfg_options: CfgOptions = None,
) -> None:
    """a test of a retrieval model: metrics beside chance, and pictures of its work on the config's test set

    The metrics are those that mmvlforge test --out writes, for CONFIG and where wanted for its Winoground config.
    Proofreading is shown for a ViLEM with the parts it needs.
    """
    from mmvlforge.annotations.json_files import write_json
    from mmvlforge.apis.pictures import draw_overview
    from mmvlforge.apis.retrieval import TrainedRetriever
    from mmvlforge.manifest import (
        MANIFEST,
        check_made_from,
        described_config,
        described_file,
        new_manifest,
        read_metrics_file,
    )
    from mmvlforge.reports.retrieval import chance_of, read_metrics, write_report

    values = read_metrics(metrics)
    options = read_cfg_options(cfg_options)
    trained = TrainedRetriever(config, checkpoint, options)
    model = trained.trained.describe()
    for path in metrics:
        check_made_from(path, weights=model['fingerprint'])
    features = trained.features()
    num_images, num_captions = len(features.image), len(features.text)
    chance = chance_of(values, features.owner, num_images)
    write_report(out, title, values, chance, draw_overview(trained, features, num), num_images, num_captions)
    if all_metrics:
        sources = [described_file(path, **{MANIFEST: read_metrics_file(path)[1]}) for path in metrics]
        weights = dict(file=checkpoint, fingerprint=model['fingerprint'])
        described = described_config(trained.cfg, options)
        manifest = new_manifest('report retrieval', config=described, weights=weights, metrics=sources)
        write_json(all_metrics, {**values, MANIFEST: manifest})
    print_table(['metric', 'model', 'chance'], [[name, values[name], chance[name]] for name in chance])


@app.command(cls=ForgeCommand)
def proofreading(
    config: Config,
    checkpoint: Checkpoint,
    out: Folder,
    num: Annotated[int, typer.Option(min=1, help='test images to draw')] = 8,
    image: Image = None,
    caption: Caption = None,
    path: Annotated[str | None, typer.Option(help="'local' or 'global' (default: the model's first)")] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help='P(wrong) of a marked word')] = 0.5,
    cfg_options: CfgOptions = None,
) -> None:
    """draw how a trained ViLEM proofreads captions: wrong words marked, the best corrections under them

    Without --image, captions of the test set are edited as for ProofreadingMetric and proofread; of each drawn image
    it is the first caption with an edit. The folder gets one PNG a caption and a page index.html.
    """
    _check_pair(image, caption)
    from mmvlforge.apis.pictures import draw_proofread
    from mmvlforge.apis.proofreading import ProofreadInferencer
    from mmvlforge.apis.retrieval import TrainedRetriever
    from mmvlforge.reports.page import figure, write_gallery
    from mmvlforge.visualization.drawing import Drawn

    options = read_cfg_options(cfg_options)
    if image is not None and caption is not None:
        ask = ProofreadInferencer(config, checkpoint, path, threshold, cfg_options=options)
        answer = ask(dict(image=image, caption=caption), draw=True)
        pictures = [Drawn(Path(image).stem, answer['visualization'][0], caption, '')]
    else:
        pictures = draw_proofread(TrainedRetriever(config, checkpoint, options), num, path, threshold)
    _write(pictures, out)
    shown = [figure(drawn.picture, drawn.alt, drawn.note) for drawn in pictures]
    write_gallery(out / 'index.html', 'Proofreading', 'proofreading', shown)


@app.command(cls=ForgeCommand)
def word_maps(
    config: Config,
    checkpoint: Checkpoint,
    out: Folder,
    num: Annotated[int, typer.Option(min=1, help='test images to draw')] = 6,
    image: Image = None,
    caption: Caption = None,
    path: Annotated[str, typer.Option(help='path with a cross-attention')] = 'local',
    layer: Annotated[
        int | None, typer.Option(help='text layer whose attention is read, from 0', show_default='all')
    ] = None,
    cfg_options: CfgOptions = None,
) -> None:
    """draw where in the picture a trained ViLEM looks for each word: Grad-CAM on the cross-attention

    Without --image, the first captions of test images are drawn. The folder gets one PNG a caption. What is
    differentiated is said in mmvlforge/models/word_patch_maps.py.
    """
    _check_pair(image, caption)
    from mmvlforge.apis.pictures import draw_word_maps, spread
    from mmvlforge.apis.retrieval import TrainedRetriever

    trained = TrainedRetriever(config, checkpoint, read_cfg_options(cfg_options))
    if image is not None and caption is not None:
        _write([draw_word_maps(trained, trained.pair(image, caption), path, layer)], out)
        return
    items = [trained.dataset[place] for place in spread(num, len(trained.dataset))]
    trained.check_drawable([item['data_samples'] for item in items])
    _write([draw_word_maps(trained, item, path, layer) for item in items], out)


@app.command(cls=ForgeCommand)
def gallery(
    config: Config,
    checkpoint: Checkpoint,
    out: Folder,
    num: Annotated[int, typer.Option(min=1, help='queries each way')] = 8,
    topk: Annotated[int, typer.Option(min=1, help='answers to each')] = 5,
    cfg_options: CfgOptions = None,
) -> None:
    """draw what a trained model finds in its test set: pictures for captions, and captions for pictures

    Queries lie at equal distances in the set. The folder gets t2i_*.png and i2t_*.png.
    """
    from mmvlforge.apis.pictures import draw_gallery
    from mmvlforge.apis.retrieval import TrainedRetriever

    trained = TrainedRetriever(config, checkpoint, read_cfg_options(cfg_options))
    for pictures in draw_gallery(trained, trained.features(), num, topk).values():
        _write(pictures, out)


@app.command(cls=ForgeCommand)
def similarity(
    config: Config,
    checkpoint: Checkpoint,
    out: Folder,
    beside: Annotated[
        tuple[str, str] | None, typer.Option(metavar='CONFIG CHECKPOINT', help='a second model, drawn over the first')
    ] = None,
    cfg_options: CfgOptions = None,
) -> None:
    """draw the similarities of positive and negative pairs of a test set, and their normalised margins

    The folder gets similarity.png and similarity.json: for each model, named after its config, means, deviations and
    histograms of both kinds of similarity and of the margins. The paper does not define its normalised margin; ours:
    the similarity of a positive pair minus the mean similarity of the negative pairs that share its image or caption,
    divided by the distance from the lowest to the highest similarity of the set (mmvlforge/evaluation/similarity.py).
    """
    from mmvlforge.annotations.json_files import write_json
    from mmvlforge.apis.pictures import draw_similarity_chart, measure_similarities
    from mmvlforge.apis.retrieval import TrainedRetriever

    options, models = read_cfg_options(cfg_options), {}
    for own_config, own_checkpoint in [(config, checkpoint), *([beside] if beside else [])]:
        name = Path(own_config).stem
        if name in models:  # one config, two checkpoints
            name = f'{name} ({Path(own_checkpoint).stem})'
        retriever = TrainedRetriever(own_config, own_checkpoint, options)
        models[name] = dict(measure_similarities(retriever.features()), model=retriever.trained.describe())
    write_json(out / 'similarity.json', models)
    _write([draw_similarity_chart(models)], out)
    kinds = ('positive', 'negative', 'normalised_margin')
    rows = [
        [f'{name}, {kind}', found[kind]['mean'], found[kind]['std']] for name, found in models.items() for kind in kinds
    ]
    print_table(['', 'mean', 'std'], rows)


def _check_pair(image: str | None, caption: str | None) -> None:
    if (image is None) != (caption is None):
        raise typer.BadParameter('--image and --caption belong together')


def _write(pictures: 'Iterable[Drawn]', folder: Path) -> None:
    """Write PNG files and say so."""
    from mmvlforge.visualization.drawing import save_picture

    for drawn in pictures:
        path = folder / f'{drawn.name}.png'
        save_picture(drawn.picture, str(path))
        print(f'{path}: {drawn.alt}')
