"""The console command ``mmvlforge``: one file a group of commands, each thin over ``mmvlforge.apis`` and its like.

Exit codes: 0 done, 1 the data are bad (checkers), 2 the user must change something, 3 done but some inputs were
unusable, 130 stopped by Ctrl-C. Modules here import nothing heavy, so that help comes at once.
"""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from mmvlforge.cli import aligning, asking, data, export, forge, index, report, running, score, weights
from mmvlforge.cli.output import ForgeCommand, ForgeGroup, new_app
from mmvlforge.version import __version__

__all__ = ['app', 'main']

app = new_app('Vision-language forensics and retrieval: train, test, and ask models about pictures and their captions.')


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f'mmvlforge {__version__}')
        raise typer.Exit


@app.callback(cls=ForgeGroup)
def _root(
    version: Annotated[
        bool, typer.Option('--version', callback=_show_version, is_eager=True, help='say the version and end')
    ] = False,
) -> None:
    pass


app.add_typer(data.app, name='data')
app.add_typer(forge.app, name='forge')
app.add_typer(index.app, name='index')
app.add_typer(report.app, name='report')
app.add_typer(score.app, name='score')
app.add_typer(weights.app, name='weights')


_asking = (asking.check, asking.check_batch, asking.proofread, asking.search)
for _command in (aligning.align, *_asking, export.export, running.test, running.train):
    app.command(cls=ForgeCommand)(_command)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        args: What follows ``mmvlforge``; the arguments of the process by default.

    Returns:
        The exit code.
    """
    # Torch reads it when it is imported, later. OpenMP's waiting threads spin by default and so keep the cores from
    # those that work: beside two busy loops a training step took 4 to 20 times as long.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')  # loaders fork after the tokenizer has threads
    try:
        app(args, prog_name='mmvlforge')
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0
