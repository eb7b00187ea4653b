"""``mmvlforge data``: look at data sets before training on them."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmvlforge.cli.output import CfgOptions, ForgeCommand, Stopped, new_app, read_cfg_options
from mmvlforge.cli.progress import progress

__all__ = ['app']

app = new_app('look at data sets: check annotations and pictures, draw what a model is fed')

CORES = os.cpu_count() or 1


@app.command()
def check(
    annotations: Annotated[Path, typer.Argument(help='annotation file: a JSON array of records, or one record a line')],
    image_root: Annotated[
        Path | None, typer.Option(help="folder that the records' image paths start from; decodes every picture")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="check as this config's training set reads records and pictures (default: DGM4)")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help='processes that decode', show_default='all CPUs')] = CORES,
    max_show: Annotated[int, typer.Option(min=0, help='records shown of each kind')] = 10,
) -> None:
    """every bad record of an annotation file of the DGM4 family, by kind; exit code 1 if there is one"""
    if image_root and not image_root.is_dir():
        raise typer.BadParameter(f'--image-root {image_root} is not a folder')
    from mmvlforge.annotations import Problem, RecordFormat, dgm4_class_map, read_annotations
    from mmvlforge.datasets.dgm4_check import cut_lines, find_problems, format_of, problem_lines, summary_lines

    fmt, loader = format_of(config) if config else (RecordFormat(dgm4_class_map()), None)
    broken: dict[int, str] = {}
    cut: dict[int, str] = {}
    try:
        records = read_annotations(annotations, broken)
    except ValueError as error:
        print(f'error: {error}')
        raise typer.Exit(1) from None
    try:
        with progress('pictures decoded') as tell:
            problems = find_problems(records, fmt, image_root, workers, tell, cut, loader)
    except KeyboardInterrupt:
        raise Stopped('nothing was judged; the check starts anew') from None
    problems.update({row: [Problem('not an object', '', message)] for row, message in broken.items()})

    print(f'{annotations}: {len(records)} records, {len(problems)} bad')
    for line in (*problem_lines(problems, max_show), *cut_lines(cut, max_show)):
        print(line)
    good = [record for row, record in enumerate(records) if row not in problems]
    if good:
        for line in summary_lines(good, fmt):
            print(line)
    if problems:
        raise typer.Exit(1)


@app.command(cls=ForgeCommand)
def browse(
    config: Annotated[str, typer.Argument(help='config file, or the name of one of ours such as dgm4/dca_imq')],
    out: Annotated[Path, typer.Option(help='folder for the pictures')],
    split: Annotated[Literal['train', 'val', 'test'], typer.Option(help='whose items')] = 'train',
    num: Annotated[int, typer.Option(min=1, help='how many items, from the first on')] = 16,
    cfg_options: CfgOptions = None,
) -> None:
    """draw what a model is fed: pictures after augmentation, sub-word tokens, and the labels of both

    A caption is the token sequence: special tokens are grey, '##' opens a token that continues a word. With
    manipulation labels, the box is the training target, drawn back onto the transformed picture, and a red underline
    is a token labelled manipulated. A group of pictures and captions is drawn whole.
    """
    from mmvlforge.apis.browsing import browse as draw

    for file, shown in draw(config, out, split, num, read_cfg_options(cfg_options)):
        print(f'{file}: {shown}')
