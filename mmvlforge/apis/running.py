"""What ``train.py`` and ``test.py`` share: reading the config, and running without a GPU."""

import argparse
import gc
import os
import os.path as osp

import torch
from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.registry import RUNNERS
from mmengine.runner import Runner


def load_config(args: argparse.Namespace) -> Config:
    """Read ``args.config``, put the command line over it, and choose the work dir."""
    if not osp.isfile(args.config):
        raise SystemExit(f'config {args.config!r} does not exist; see configs/ for those that do')
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    # torchrun and mpirun say the rank in the environment; older launchers in an argument.
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
    load_from = cfg.get('load_from')
    if load_from and '://' not in load_from and not osp.isfile(load_from):
        if cfg.get('resume') or getattr(args, 'resume', None):
            return cfg  # the run's own checkpoint takes its place
        raise SystemExit(
            f'load_from={load_from!r} does not exist. Make it (docs/weights.md), or start from nothing with '
            '--cfg-options load_from=None'
        )
    return cfg


def prepare_distributed(cfg: Config) -> None:
    """Let several processes run where there is no GPU: gloo, and a wrapper without device ids."""
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise SystemExit(f'without a GPU only --launcher pytorch works, got {cfg.launcher}')
    torch.distributed.init_process_group('gloo')
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )


def build_runner(cfg: Config):
    """MMEngine's Runner, or the one that ``runner_type`` names (FlexibleRunner for FSDP and DeepSpeed)."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def finish(runner: Runner) -> None:
    """End the process group in order: gloo aborts if the interpreter does it."""
    if is_distributed():
        runner.model = runner.optim_wrapper = None
        gc.collect()
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
