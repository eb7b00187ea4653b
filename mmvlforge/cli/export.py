"""``mmvlforge export``: trained models as folders that need nothing beside them."""

from typing import Annotated

import typer

from mmvlforge.cli.output import CfgOptions, read_cfg_options

__all__ = ['export']


def export(
    paths: Annotated[
        list[str],
        typer.Argument(metavar='MODEL OUT', help='a folder or CONFIG CHECKPOINT; the folder to write'),
    ],
    retriever: Annotated[
        bool, typer.Option('--retriever', help='of a dual encoder or ViLEM only what retrieval needs')
    ] = False,
    pairs: Annotated[
        int,
        typer.Option(min=0, help='pairs that tell what the model has seen; 0: it shall not know, nor be calibrated'),
    ] = 4000,
    false_alarms: Annotated[
        float, typer.Option(help='share of real pairs that a detector may call fake, by the validation set')
    ] = 0.05,
    metrics: Annotated[
        list[str] | None, typer.Option(metavar='FILE', help='figures for its card, a file that test --out wrote')
    ] = None,
    onnx: Annotated[bool, typer.Option('--onnx', help='for onnxruntime too: both towers, or the detector')] = False,
    cfg_options: CfgOptions = None,
) -> None:
    """Write a model's folder: config, weights, tokenizer, what it has seen, what a score is worth (docs/weights.md).

    Asked about a picture or a caption unlike those it learnt from, a model with that knowledge says so, and gives no
    verdict.
    """
    if not 2 <= len(paths) <= 3:
        raise typer.BadParameter('give a model, which is a folder or CONFIG CHECKPOINT, and a folder to write')
    from mmvlforge.export.model_folder import export_model

    *model, out = paths
    checkpoint = model[1] if len(model) == 2 else None
    options = read_cfg_options(cfg_options)
    more = (retriever, pairs or None, options, false_alarms, metrics or (), onnx)
    for line in export_model(model[0], checkpoint, out, *more):
        print(line)
