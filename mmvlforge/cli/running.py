"""``mmvlforge train`` and ``mmvlforge test``, and the same for launchers by way of ``tools/train.py``, ``test.py``."""

import os
from typing import Annotated, Literal

import typer

from mmvlforge.cli.output import CfgOptions, Stopped, end_workers, hear_interrupt, read_cfg_options

__all__ = ['test', 'train']

Config = Annotated[str, typer.Argument(help='config file, or the name of one of ours such as dgm4/dca_imq')]
WorkDir = Annotated[
    str | None,
    typer.Option(metavar='DIR', help="folder for checkpoints and logs, a test's in test/ (default: work_dirs/CONFIG)"),
]
UnsafeLoad = Annotated[
    bool, typer.Option('--unsafe-load', help='unpickle any object in a checkpoint: only for a source you trust')
]
Launcher = Annotated[Literal['none', 'pytorch', 'slurm', 'mpi'], typer.Option(help='who started the processes')]
LocalRank = Annotated[int, typer.Option('--local_rank', '--local-rank', hidden=True)]


def train(
    config: Config,
    work_dir: WorkDir = None,
    amp: Annotated[bool, typer.Option('--amp', help='bfloat16 autocast, on any device')] = False,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar='[CHECKPOINT]', help='go on from the newest checkpoint of the work dir, or from the one named'
        ),
    ] = None,
    auto_scale_lr: Annotated[
        bool, typer.Option('--auto-scale-lr', help='scale the learning rate with batch x processes x accumulation')
    ] = False,
    compile: Annotated[bool, typer.Option('--compile', help='torch.compile the model')] = False,
    cfg_options: CfgOptions = None,
    unsafe_load: UnsafeLoad = False,
    launcher: Launcher = 'none',
    local_rank: LocalRank = 0,
) -> None:
    """Train a model."""
    from mmvlforge.apis import running
    from mmvlforge.apis.loading import newest_checkpoint

    # torchrun and mpirun say the rank in the environment; older launchers in an argument.
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    options = read_cfg_options(cfg_options)
    try:
        with hear_interrupt():
            running.train(config, work_dir, resume, amp, auto_scale_lr, compile, options, unsafe_load, launcher)
    except KeyboardInterrupt:
        end_workers()
        folder = running.work_dir_of(config, work_dir, options)
        kept = newest_checkpoint(folder)
        go_on = 'go on with the same command and --resume'
        raise Stopped(f'kept: {kept}; {go_on}' if kept else f'no checkpoint was written yet in {folder}') from None


def test(
    config: Config,
    checkpoint: Annotated[
        str | None,
        typer.Argument(help='checkpoint file; none for starter/starter_conse and its like'),
    ] = None,
    work_dir: WorkDir = None,
    out: Annotated[str | None, typer.Option(metavar='FILE.json', help='write the metrics')] = None,
    predictions: Annotated[
        str | None, typer.Option(metavar='FILE.jsonl', help='write the predictions, for mmvlforge score manipulation')
    ] = None,
    show_dir: Annotated[str | None, typer.Option(metavar='DIR', help='draw truth and prediction')] = None,
    show_worst: Annotated[int | None, typer.Option(metavar='N', help='draw only the N worst predictions')] = None,
    amp: Annotated[bool, typer.Option('--amp', help='bfloat16 autocast, on any device')] = False,
    cfg_options: CfgOptions = None,
    unsafe_load: UnsafeLoad = False,
    launcher: Launcher = 'none',
    local_rank: LocalRank = 0,
) -> None:
    """Test a model."""
    if show_worst is not None and not show_dir:
        raise typer.BadParameter('--show-worst needs --show-dir')
    from mmvlforge.apis import running

    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    options = read_cfg_options(cfg_options)
    try:
        with hear_interrupt():
            running.test(
                *(config, checkpoint, work_dir, out, predictions, show_dir, show_worst, amp),
                *(options, unsafe_load, launcher),
            )
    except KeyboardInterrupt:
        raise Stopped('nothing was written; a test starts anew') from None
