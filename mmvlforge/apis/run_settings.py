"""What a config says of a run's length and learning rate, checked before its first step."""

from mmengine.config import Config

__all__ = ['check_length', 'check_schedule', 'effective_scale']


def check_length(cfg: Config) -> None:
    """Refuse a length of the training where nothing reads it."""
    wanted = cfg.get('max_epochs')
    if wanted is not None and wanted != cfg.get('train_cfg', {}).get('max_epochs'):
        raise ValueError(
            f'{cfg.filename}: max_epochs={wanted} at the top level does nothing: write '
            f'train_cfg=dict(max_epochs={wanted}), or --cfg-options train_cfg.max_epochs={wanted}'
        )


def check_schedule(cfg: Config, iterations: int) -> None:
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


def effective_scale(cfg: Config) -> dict | None:
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
