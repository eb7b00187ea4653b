"""Training and testing by MMEngine's Runner, on one process or many, with or without a GPU."""

import gc
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_distributed, is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmvlforge.annotations.json_files import write_json
from mmvlforge.apis.checkpoints import Beginning, begin_test, begin_training
from mmvlforge.apis.loading import existing, load_trained
from mmvlforge.apis.run_settings import check_length, check_schedule, effective_scale
from mmvlforge.config_files import load_config, told_of_config
from mmvlforge.engine.hooks import ManifestHook
from mmvlforge.folder_lock import folder_lock
from mmvlforge.manifest import MANIFEST, described_config, described_file, new_manifest
from mmvlforge.models.weights.checkpoint_files import write_checkpoint
from mmvlforge.models.weights.reading import safe_checkpoints

__all__ = ['test', 'train', 'work_dir_of']


_RANK = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')  # where launchers say it


def train(
    config: str | Path,
    work_dir: str | None = None,
    resume: str | None = None,
    amp: bool = False,
    auto_scale_lr: bool = False,
    compile: bool = False,
    cfg_options: dict | None = None,
    unsafe_load: bool = False,
    launcher: str = 'none',
) -> None:
    """Train a model.

    Args:
        config: A config, see :func:`mmvlforge.apis.loading.find_config`.
        work_dir: Folder for logs and checkpoints, of one training at a time; ``work_dirs/CONFIG_NAME`` by default.
        resume: Checkpoint to go on from; ``'auto'`` takes the newest whole one of the work dir, if there is one.
        amp: bfloat16 autocast, on any device.
        auto_scale_lr: Scale the learning rate with the effective batch: batch x processes x accumulated gradients.
        compile: ``torch.compile`` the model.
        cfg_options: Settings over the config.
        unsafe_load: Unpickle any object in a checkpoint.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        ValueError: The config, a checkpoint or an argument does not fit, or another training holds the work dir.
        FileNotFoundError: Data are missing.
    """
    cfg, described = _prepare(config, work_dir, cfg_options, launcher)
    if 'train_dataloader' not in cfg:
        raise ValueError(f'{config}: has no train_dataloader: it is for tests alone')
    check_length(cfg)
    if amp:
        wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if wrapper not in ('OptimWrapper', 'AutocastOptimWrapper'):
            raise ValueError(f'--amp replaces OptimWrapper; this config has {wrapper}, which sets its own precision')
        cfg.optim_wrapper.type = 'AutocastOptimWrapper'
    if compile:
        cfg.compile = True
    if auto_scale_lr:
        cfg.auto_scale_lr = dict(cfg.get('auto_scale_lr', {}), enable=True)
    scale = effective_scale(cfg)
    arguments = dict(work_dir=work_dir, resume=resume, amp=amp, auto_scale_lr=auto_scale_lr, compile=compile)
    with _sole_training(cfg):
        beginning = begin_training(cfg, resume, unsafe_load)
        start = dict(resumed=beginning.resumed) if beginning.resumed else dict(load_from=cfg.get('load_from'))
        told = _manifest('train', cfg, described, arguments, start)

        def work(runner: Runner) -> None:
            check_schedule(cfg, runner.train_loop.max_iters)
            runner.register_hook(told)
            if scale:
                runner.auto_scale_lr = scale
            runner.train()

        _run(cfg, unsafe_load, work, beginning)


def test(
    config: str | Path,
    checkpoint: str | None = None,
    work_dir: str | None = None,
    out: str | None = None,
    predictions: str | None = None,
    show_dir: str | None = None,
    show_worst: int | None = None,
    amp: bool = False,
    cfg_options: dict | None = None,
    unsafe_load: bool = False,
    launcher: str = 'none',
) -> dict[str, float]:
    """Test a model.

    Args:
        config: As in :func:`train`, like all that are not described here.
        checkpoint: Its weights; None for a config that is ``ready``, whose weights come from ``init_cfg`` and are
            written to the work dir.
        work_dir: Its ``test/`` gets the logs, so that a training's own config stays and may go on there meanwhile.
        out: JSON file for the metrics and the manifest of the run.
        predictions: JSON Lines file for the predictions.
        show_dir: Folder for pictures of truth and prediction.
        show_worst: Draw only so many, the worst.
        amp: bfloat16 autocast, on any device.
        cfg_options: Settings over the config.
        unsafe_load: Unpickle any object in a checkpoint.
        launcher: As in :func:`train`.

    Returns:
        The metrics.
    """
    if show_worst is not None and not show_dir:
        raise ValueError('--show-worst needs --show-dir')
    if checkpoint is not None:
        checkpoint = existing(checkpoint)
    cfg, described = _prepare(config, work_dir, cfg_options, launcher)
    if 'test_evaluator' not in cfg:
        raise ValueError(f'{config}: has no test_evaluator')
    cfg.work_dir = str(Path(cfg.work_dir, 'test'))
    if checkpoint is None:
        if not cfg.get('ready'):
            raise ValueError(f'{config}: needs a checkpoint to test')
        checkpoint = str(Path(cfg.work_dir, 'ready.pth'))
        write_checkpoint(load_trained(config, None, cfg_options, 'cpu').model.state_dict(), 'init_cfg', checkpoint)
    if predictions:
        metrics = cfg.test_evaluator.metrics
        cfg.test_evaluator.metrics = [*metrics, dict(type='PredictionWriter', out_file=predictions)]
    if show_dir:
        hook = dict(type='ManipulationVisualizationHook', show_dir=show_dir, worst=show_worst)
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
    if amp:
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='AutocastTestHook')]
    beginning = begin_test(cfg, checkpoint, unsafe_load)
    arguments = dict(work_dir=work_dir, amp=amp)
    told = _manifest('test', cfg, described, arguments, dict(file=checkpoint))

    def work(runner: Runner) -> dict[str, float]:
        runner.register_hook(told)
        metrics = {name: float(value) for name, value in runner.test().items()}
        if is_main_process():  # asked while there is a group
            if predictions:
                told.manifest['predictions'] = described_file(predictions)
            told.write(runner)
            if out:
                write_json(out, {**metrics, MANIFEST: told.manifest})
        return metrics

    return _run(cfg, unsafe_load, work, beginning)


def work_dir_of(config: str | Path, work_dir: str | None = None, cfg_options: dict | None = None) -> str:
    """Where a run of these arguments writes; see :func:`train`."""
    return work_dir or _own_work_dir(load_config(config, cfg_options))


def _own_work_dir(cfg: Config) -> str:
    folder = Path(cfg.filename).parent
    if (folder / 'last_checkpoint').is_file():  # a run's own config, in which work_dir is where the run was once
        return str(folder)
    return cfg.get('work_dir') or f'work_dirs/{Path(cfg.filename).stem}'


def _manifest(command: str, cfg: Config, config: dict, arguments: dict, weights: dict) -> ManifestHook:
    """The manifest of a run, as far as it is known before it."""
    given = {name: value for name, value in arguments.items() if value not in (None, False)}
    precision = _precision(cfg, command == 'test')
    return ManifestHook(
        new_manifest(
            command, config=config, arguments=given, launcher=cfg.launcher, precision=precision, weights=weights
        )
    )


def _precision(cfg: Config, tests: bool) -> str:
    """What the model computes in."""
    if tests:
        if any(hook.get('type') == 'AutocastTestHook' for hook in (cfg.get('custom_hooks') or [])):
            return 'bfloat16 autocast'
        return 'MMEngine autocast' if cfg.test_cfg.get('fp16') else 'float32'
    wrapper = cfg.optim_wrapper
    half = f'{wrapper.get("dtype", "float16")} autocast'
    names = dict(AutocastOptimWrapper='bfloat16 autocast', AmpOptimWrapper=half)
    parts = [name for name in ('bf16', 'fp16') if cfg.get('strategy', {}).get(name, {}).get('enabled')]
    return names.get(wrapper.get('type'), ' '.join(parts) or 'float32')


def _sole_training(cfg: Config) -> AbstractContextManager[None]:
    """Hold the work dir; of the processes of one run the first does, which alone writes."""
    rank = os.environ.get(_RANK.get(cfg.launcher, ''), '0')  # the group may not be there yet
    return folder_lock(cfg.work_dir, 'mmvlforge train') if int(rank) == 0 else nullcontext()


def _prepare(
    config: str | Path, work_dir: str | None, cfg_options: dict | None, launcher: str
) -> tuple[Config, dict[str, Any]]:
    """Read the config, put the arguments over it, and let several processes run where there is no GPU.

    Returns:
        The config; and for the manifest what it was before, equal for every work dir, launcher and start.
    """
    cfg = load_config(config, cfg_options)
    described = described_config(cfg, cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or _own_work_dir(cfg)
    if launcher == 'none' or torch.cuda.is_available():
        return cfg, described
    if launcher != 'pytorch':
        raise ValueError(f'without a GPU only --launcher pytorch works, got {launcher}')
    # gloo, and a wrapper without device ids.
    torch.distributed.init_process_group('gloo')
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    return cfg, described


def _run(cfg: Config, unsafe_load: bool, work, beginning: Beginning) -> Any:
    with safe_checkpoints(unsafe_load, beginning.held), told_of_config(cfg.filename):
        # FlexibleRunner for FSDP and DeepSpeed where the config names it.
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        for line in beginning.lines:
            runner.logger.info(line)
        result = work(runner)
    _finish(runner)
    return result


def _finish(runner: Runner) -> None:
    """End the process group in order: gloo aborts if the interpreter does it."""
    if is_distributed():
        runner.model = runner.optim_wrapper = None
        gc.collect()
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
