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
from mmvlforge.apis.loading import existing
from mmvlforge.config_files import load_config, told_of_config
from mmvlforge.engine.hooks import ManifestHook
from mmvlforge.folder_lock import folder_lock
from mmvlforge.manifest import MANIFEST, described_file, new_manifest, text_fingerprint
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
    cfg = _prepare(config, work_dir, cfg_options, launcher)
    if 'train_dataloader' not in cfg:
        raise ValueError(f'{config}: has no train_dataloader: it is for tests alone')
    _check_length(cfg)
    if amp:
        wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if wrapper not in ('OptimWrapper', 'AutocastOptimWrapper'):
            raise ValueError(f'--amp replaces OptimWrapper; this config has {wrapper}, which sets its own precision')
        cfg.optim_wrapper.type = 'AutocastOptimWrapper'
    if compile:
        cfg.compile = True
    if auto_scale_lr:
        cfg.auto_scale_lr = dict(cfg.get('auto_scale_lr', {}), enable=True)
    scale = _effective_scale(cfg)
    arguments = dict(work_dir=work_dir, resume=resume, amp=amp, auto_scale_lr=auto_scale_lr, compile=compile)
    with _sole_training(cfg):
        beginning = begin_training(cfg, resume, unsafe_load)
        start = dict(load_from=cfg.get('load_from'), resume=bool(cfg.get('resume')))
        told = _manifest('train', cfg, config, cfg_options, arguments, start)

        def work(runner: Runner) -> None:
            _check_schedule(cfg, runner.train_loop.max_iters)
            runner.register_hook(told)
            if scale:
                runner.auto_scale_lr = scale
            runner.train()

        _run(cfg, unsafe_load, work, beginning)


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
    checkpoint = existing(checkpoint)
    cfg = _prepare(config, work_dir, cfg_options, launcher)
    if 'test_evaluator' not in cfg:
        raise ValueError(f'{config}: has no test_evaluator')
    cfg.work_dir = str(Path(cfg.work_dir, 'test'))
    if predictions:
        metrics = cfg.test_evaluator.metrics
        cfg.test_evaluator.metrics = [*metrics, dict(type='PredictionWriter', out_file=predictions)]
    if show_dir:
        hook = dict(type='ManipulationVisualizationHook', show_dir=show_dir, worst=show_worst)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]
    if amp:
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='AutocastTestHook')]
    beginning = begin_test(cfg, checkpoint, unsafe_load)
    arguments = dict(work_dir=work_dir, amp=amp)
    told = _manifest('test', cfg, config, cfg_options, arguments, dict(file=checkpoint))

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


def _manifest(
    command: str, cfg: Config, config: str | Path, cfg_options: dict | None, arguments: dict, weights: dict
) -> ManifestHook:
    """The manifest of a run, as far as it is known before it.

    The fingerprint is that of the config and its settings alone, equal for every work dir, launcher and start.
    """
    plain = load_config(config, cfg_options)
    settings = [f'{name}={value}' for name, value in (cfg_options or {}).items()]
    told = dict(file=plain.filename, fingerprint=text_fingerprint(plain.pretty_text), settings=settings)
    given = {name: value for name, value in arguments.items() if value not in (None, False)}
    precision = _precision(cfg, command == 'test')
    return ManifestHook(
        new_manifest(command, config=told, arguments=given, launcher=cfg.launcher, precision=precision, weights=weights)
    )


def _precision(cfg: Config, tests: bool) -> str:
    """What the model computes in."""
    if tests:
        if any(hook.get('type') == 'AutocastTestHook' for hook in cfg.get('custom_hooks', [])):
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


def _check_length(cfg: Config) -> None:
    """Refuse a length of the training where nothing reads it."""
    wanted = cfg.get('max_epochs')
    if wanted is not None and wanted != cfg.get('train_cfg', {}).get('max_epochs'):
        raise ValueError(
            f'{cfg.filename}: max_epochs={wanted} at the top level does nothing: write '
            f'train_cfg=dict(max_epochs={wanted}), or --cfg-options train_cfg.max_epochs={wanted}'
        )


def _effective_scale(cfg: Config) -> dict | None:
    """What makes MMEngine count accumulated gradients as it scales the learning rate; None where it does not scale.

    It compares batch x processes with the base. With n batches a step that is to be compared with the n-th of the base.
    The config keeps the whole base, so that whoever trains from its copy in the work dir divides once too.
    """
    scale = cfg.get('auto_scale_lr', {})
    if not scale.get('enable'):
        return None
    if 'base_batch_size' not in scale:
        raise ValueError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config')
    if 'batch_size' not in cfg.train_dataloader:
        raise ValueError('--auto-scale-lr needs train_dataloader.batch_size, the batch of a process')
    if 'runner_type' in cfg:
        strategy, where = cfg.get('strategy', {}), f'{cfg.runner_type} does not count'
        steps = [cfg.optim_wrapper.get('accumulative_counts', 1), strategy.get('gradient_accumulation_steps', 1)]
        config = strategy.get('config') or {}
        if isinstance(config, str):
            raise ValueError(f'--auto-scale-lr: {where} the accumulated gradients that {config} may ask for')
        if any(count > 1 for count in (*steps, config.get('gradient_accumulation_steps', 1))):
            raise ValueError(f'--auto-scale-lr: {where} accumulated gradients; set optim_wrapper.optimizer.lr instead')
        return None
    parts = [part for part in cfg.optim_wrapper.values() if isinstance(part, dict) and 'accumulative_counts' in part]
    if parts:
        raise ValueError('--auto-scale-lr: several optimisers that accumulate gradients have no one batch size')
    steps = cfg.optim_wrapper.get('accumulative_counts', 1)
    return dict(scale, base_batch_size=scale.base_batch_size / steps)


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
