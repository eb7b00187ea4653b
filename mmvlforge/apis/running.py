"""Training and testing by MMEngine's Runner, on one process or many, with or without a GPU."""

import gc
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_distributed, is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmvlforge.annotations.json_files import write_json
from mmvlforge.apis.checkpoints import Beginning, begin_test, begin_training
from mmvlforge.apis.loading import existing
from mmvlforge.config_files import load_config, told_of_config
from mmvlforge.models.weights.reading import safe_checkpoints

__all__ = ['test', 'train', 'work_dir_of']


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
        work_dir: Folder for logs and checkpoints; ``work_dirs/CONFIG_NAME`` by default.
        resume: Checkpoint to go on from; ``'auto'`` takes the newest whole one of the work dir, if there is one.
        amp: bfloat16 autocast, on any device.
        auto_scale_lr: Scale the learning rate with the batch size.
        compile: ``torch.compile`` the model.
        cfg_options: Settings over the config.
        unsafe_load: Unpickle any object in a checkpoint.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        ValueError: The config, a checkpoint or an argument does not fit.
        FileNotFoundError: Data are missing.
    """
    cfg = _prepare(config, work_dir, cfg_options, launcher)
    if 'train_dataloader' not in cfg:
        raise ValueError(f'{config}: has no train_dataloader: it is for tests alone')
    if amp:
        wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if wrapper not in ('OptimWrapper', 'AutocastOptimWrapper'):
            raise ValueError(f'--amp replaces OptimWrapper; this config has {wrapper}, which sets its own precision')
        cfg.optim_wrapper.type = 'AutocastOptimWrapper'
    if compile:
        cfg.compile = True
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config')
        cfg.auto_scale_lr.enable = True

    def work(runner: Runner) -> None:
        _check_schedule(cfg, runner.train_loop.max_iters)
        runner.train()

    _run(cfg, unsafe_load, work, begin_training(cfg, resume, unsafe_load))


def test(
    config: str | Path,
    checkpoint: str,
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
        checkpoint: Its weights.
        work_dir: Folder for logs.
        out: JSON file for the metrics.
        predictions: JSON Lines file for the predictions.
        show_dir: Folder for pictures of truth and prediction.
        show_worst: Draw only so many, the worst.
        amp: Mixed precision (needs an accelerator).
        cfg_options: Settings over the config.
        unsafe_load: Unpickle any object in a checkpoint.
        launcher: As in :func:`train`.

    Returns:
        The metrics.
    """
    if show_worst is not None and not show_dir:
        raise ValueError('--show-worst needs --show-dir')
    checkpoint = existing(checkpoint)
    cfg = _prepare(config, work_dir, cfg_options, launcher)
    if 'test_evaluator' not in cfg:
        raise ValueError(f'{config}: has no test_evaluator')
    if predictions:
        metrics = cfg.test_evaluator.metrics
        cfg.test_evaluator.metrics = [*metrics, dict(type='PredictionWriter', out_file=predictions)]
    if show_dir:
        hook = dict(type='ManipulationVisualizationHook', show_dir=show_dir, worst=show_worst)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]
    if amp:
        cfg.test_cfg.fp16 = True
    metrics = _run(cfg, unsafe_load, lambda runner: runner.test(), begin_test(cfg, checkpoint, unsafe_load))
    found = {name: float(value) for name, value in metrics.items()}
    if out and is_main_process():
        write_json(out, found)
    return found


def work_dir_of(config: str | Path, work_dir: str | None = None, cfg_options: dict | None = None) -> str:
    """Where a run of these arguments writes; see :func:`train`."""
    return work_dir or _own_work_dir(load_config(config, cfg_options))


def _own_work_dir(cfg: Config) -> str:
    return cfg.get('work_dir') or f'work_dirs/{Path(cfg.filename).stem}'


def _check_schedule(cfg: Config, iterations: int) -> None:
    """Refuse a run that ends within its warm-up: MMEngine would say that an end comes before a begin."""
    schedulers = cfg.get('param_scheduler') or []
    warm_up = max(1, iterations // 10)
    for number, each in enumerate(schedulers if isinstance(schedulers, list) else [schedulers]):
        if not each.get('by_epoch', True) and each.get('begin', 0) >= iterations:
            raise ValueError(
                f'{cfg.filename}: the run has {iterations} iterations, and param_scheduler.{number} ({each.type}) '
                f'begins after {each.begin}, where the warm-up ends. Train longer, or warm up for less: --cfg-options '
                f'param_scheduler.0.end={warm_up} param_scheduler.{number}.begin={warm_up}'
            )


def _prepare(config: str | Path, work_dir: str | None, cfg_options: dict | None, launcher: str) -> Config:
    """Read the config, put the arguments over it, and let several processes run where there is no GPU."""
    cfg = load_config(config, cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or _own_work_dir(cfg)
    if launcher == 'none' or torch.cuda.is_available():
        return cfg
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
    return cfg


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
