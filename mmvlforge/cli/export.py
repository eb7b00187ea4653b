"""``mmvlforge export``: trained models in other forms."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ['export']


def export(
    config: Annotated[
        str, typer.Argument(help='config that the checkpoint was trained with: a file, or a name of ours')
    ],
    checkpoint: Annotated[Path, typer.Argument(help='checkpoint of that training')],
    out: Annotated[Path, typer.Argument(help='file to write, *.pth; its config is written beside it as .py')],
) -> None:
    """Write what retrieval needs of a dual encoder or ViLEM: two encoders, two projections (docs/weights.md)."""
    from mmvlforge.config_files import load_config
    from mmvlforge.export.retriever import export_retriever

    for line in export_retriever(load_config(config), checkpoint, out):
        print(line)
