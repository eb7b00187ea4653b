"""``mmvlforge score``: the open scorers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmvlforge.cli.output import new_app, print_table

if TYPE_CHECKING:
    from mmvlforge.annotations import RecordFormat
    from mmvlforge.datasets.nested_datasets import PictureLoader

__all__ = ['Classes', 'FormatConfig', 'app', 'read_format']

app = new_app('score the predictions or features of any model (formats: docs/evaluation.md)')

Classes = Annotated[
    Path | None, typer.Option(help='JSON file of sets other than DGM4: fake_cls to (image type, text type)')
]
FormatConfig = Annotated[
    str | None, typer.Option(help="take classes, fields and how pictures are read from this config's test set")
]
Out = Annotated[Path | None, typer.Option(help='write the metrics, and what they were made from, to this JSON file')]


@app.command()
def manipulation(
    annotations: Annotated[Path, typer.Argument(help='annotation file: a JSON array, or one record a line')],
    predictions: Annotated[Path, typer.Argument(help='JSON Lines, one line for each record, in any order')],
    protocol: Annotated[
        Literal['dgm4', 'strict'],
        typer.Option(help='how rows without a box are scored, and what lies beyond the picture'),
    ] = 'dgm4',
    out: Out = None,
    per_class: Annotated[bool, typer.Option('--per-class', help='add tables by type and by manipulation')] = False,
    classes: Classes = None,
    config: FormatConfig = None,
    trivial: Annotated[
        bool, typer.Option('--trivial', help='show beside it what knowing only class shares scores')
    ] = False,
) -> None:
    """manipulation detection and grounding, from a prediction file"""
    from mmvlforge.annotations.annotation_file import read_annotations
    from mmvlforge.annotations.json_files import write_json
    from mmvlforge.config_files import load_config
    from mmvlforge.evaluation.predictions import read_predictions
    from mmvlforge.evaluation.scoring import join, left_out, score, score_rows, trivial_predictions, uncut_boxes
    from mmvlforge.manifest import MANIFEST, described_config, described_file, new_manifest

    fmt, _ = read_format(classes, config)
    records = read_annotations(annotations)
    rows, lines = read_predictions(predictions)
    joined = join(records, rows, fmt, annotations, predictions, lines)
    result = score_rows(joined, protocol, per_class)

    print(f'{len(records)} rows, protocol {protocol}, in percent')
    columns = {'value': result}
    if trivial:
        guess = trivial_predictions(records, fmt, joined.rule_boxes)
        columns['trivial'] = score(records, guess, protocol, fmt)
    metrics = [name for name, value in result.items() if isinstance(value, float)]
    print_table(['metric', *columns], [[name, *(found[name] for found in columns.values())] for name in metrics])
    for name in ('per_class', 'per_manipulation'):
        if name in result:
            head = next(iter(result[name].values()))
            print()
            print_table([name, *head], [[key, *row.values()] for key, row in result[name].items()])
    for note in left_out(joined):
        print(f'note: {note}')
    if protocol == 'strict' and uncut_boxes(joined):
        print(f'note: {uncut_boxes(joined)} predicted boxes come without "size" and are not cut at the picture')
    if joined.uncovered_words:
        print(
            f'note: {joined.uncovered_words} of {joined.words} words have no token in the predictions; '
            'Precision, Recall and F1 leave them out'
        )
    if out:
        manifest = new_manifest(
            'score manipulation',
            annotations=described_file(annotations, records=len(records)),
            predictions=described_file(predictions),
            protocol=protocol,
            classes=described_file(classes) if classes else None,
            config=described_config(load_config(config)) if config else None,
        )
        write_json(out, {**result, MANIFEST: manifest})


def read_format(classes: Path | None, config: str | None) -> 'tuple[RecordFormat | None, PictureLoader | None]':
    """The record format that the user names, and what reads its pictures; None for either means DGM⁴'s."""
    if classes and config:
        raise typer.BadParameter('give either --classes or --config, not both')
    if classes:
        from mmvlforge.evaluation.scoring import read_classes

        return read_classes(classes), None
    if config:
        from mmvlforge.datasets.dgm4_check import format_of

        return format_of(config, 'test_dataloader')
    return None, None


@app.command()
def retrieval(
    features: Annotated[
        Path, typer.Argument(help='NumPy archive: image_feats (Ni, D), text_feats (Nt, D), text_to_image (Nt,)')
    ],
    out: Out = None,
) -> None:
    """image-text retrieval, from features"""
    from mmvlforge.annotations.json_files import write_json
    from mmvlforge.evaluation.feature_file import read_features
    from mmvlforge.evaluation.retrieval import image_text_metrics
    from mmvlforge.manifest import MANIFEST, described_file, new_manifest

    arrays = read_features(features)
    try:
        result = image_text_metrics(**arrays)
    except ValueError as error:
        raise ValueError(f'{features}: {error}') from error
    print(f'{len(arrays["image_feats"])} images, {len(arrays["text_feats"])} captions, in percent (MedR in ranks)')
    print_table(['metric', 'value'], [list(item) for item in result.items()])
    if out:
        write_json(out, {**result, MANIFEST: new_manifest('score retrieval', features=described_file(features))})
