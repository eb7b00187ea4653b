"""``mmvlforge weights``: published checkpoints become files that our models start from."""

from typing import Annotated

import typer

from mmvlforge.cli.output import new_app

__all__ = ['app']

app = new_app('convert published checkpoints (where to get them: docs/weights.md)')

Out = Annotated[str, typer.Argument(help='file to write, for load_from')]
UnsafeLoad = Annotated[
    bool, typer.Option('--unsafe-load', help='unpickle any object in the checkpoint: only for a source you trust')
]


@app.command()
def convert_meter(
    meter: Annotated[str, typer.Argument(help="METER's Lightning checkpoint, weights under state_dict")],
    out: Out,
    config: Annotated[
        str, typer.Option(help='config of the model: a file, or the name of one of ours')
    ] = 'dgm4/dca_imq',
    no_cross: Annotated[bool, typer.Option('--no-cross', help="leave METER's cross-modal layers out")] = False,
    unsafe_load: UnsafeLoad = False,
) -> None:
    """METER, for manipulation detection"""
    from mmvlforge.config_files import find_config
    from mmvlforge.models.weights import published

    for line in published.convert_meter(meter, out, find_config(config), not no_cross, unsafe_load):
        print(line)


@app.command()
def convert_albef(
    albef: Annotated[str, typer.Argument(help="ALBEF's checkpoint, weights under model")],
    out: Out,
    config: Annotated[str, typer.Option(help='config of the model, a DualEncoder or ViLEM: a file, or a name of ours')],
    unsafe_load: UnsafeLoad = False,
) -> None:
    """ALBEF, for retrieval"""
    from mmvlforge.config_files import find_config
    from mmvlforge.models.weights import published

    for line in published.convert_albef(albef, out, find_config(config), unsafe_load):
        print(line)
