"""Checkpoints from which a run goes on as if it had not stopped."""

from bisect import bisect
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmvlforge.registry import HOOKS


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook with the same arguments; a resumed run ends as an uninterrupted one does.

    * A checkpoint is saved before its validation. Where it does not hold the result, because the run was stopped
      meanwhile or because it was not the best, a resumed run validates first.
    * The paths in a checkpoint are those of the folder where it was written. In a copy of that folder the best
      checkpoint is the copy, and the one it was copied from stays. A run that goes on in a new folder takes it along.
    * A schedule is saved with its length and rates, and MMEngine goes on with those whatever the config says now. A
      config that says something else is refused.
    * What is saved after a validation is of the epoch that ended. MMEngine's FlexibleRunner takes it for the next one,
      which a resumed run would then leave out.
    """

    _validated = False  # within what follows a validation
    _schedules: tuple[list[dict], list[dict]] = ([], [])  # of the config and of the checkpoint

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note the schedules before the one overwrites the other, which it does if the run goes on."""
        self._schedules = _settings(runner.param_schedulers), _settings(checkpoint.get('param_schedulers'))

    def before_train(self, runner) -> None:
        """Take up the former run's paths and, if it is due, its validation.

        Raises:
            ValueError: The run goes on with another schedule than its config's.
        """
        if runner.iter:  # resumed
            _check_schedule(*self._schedules)
        super().before_train(runner)
        self._come_along(runner)
        if _validation_is_due(runner):
            runner.logger.info('The checkpoint does not hold its validation, which therefore comes first')
            runner.val_loop.run()

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Note what was validated; the best checkpoint, which is saved again, holds the note."""
        # No name that begins with "val": MMEngine would log it among the metrics.
        runner.message_hub.update_info('last_validation', [runner.epoch, runner.iter])
        self._validated = True
        super().after_val_epoch(runner, metrics)
        self._validated = False

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Say where the run stands."""
        if self._validated:
            checkpoint['meta'].update(epoch=runner.epoch, iter=runner.iter)

    def _come_along(self, runner) -> None:
        hub = runner.message_hub
        known = {
            name: self.file_backend.join_path(self.out_dir, Path(path).name)
            for name, path in hub.runtime_info.items()
            if name == 'last_ckpt' or name.startswith('best_ckpt')
        }
        for name, path in known.items():
            if name != 'last_ckpt' and is_main_process():
                self._take_along(runner, hub.get_info(name), path)
            hub.update_info(name, path)
        last = known.get('last_ckpt')
        if last and self.file_backend.exists(last):
            self.last_ckpt = last
        if self.save_best is not None:
            if len(self.key_indicators) == 1:
                self.best_ckpt_path = known.get('best_ckpt')
            else:
                self.best_ckpt_path_dict = {key: known.get(f'best_ckpt_{key}') for key in self.key_indicators}

    def _take_along(self, runner, old: str, new: str) -> None:
        files = self.file_backend
        if files.exists(new):
            return
        if files.isfile(old):
            files.copyfile(old, new)
        elif files.isdir(old):  # of a strategy that saves folders
            files.copytree(old, new)
        else:
            runner.logger.warning(f'The best checkpoint so far, {old}, is gone; only a better one will be saved')


def _settings(schedulers: Any) -> list[dict]:
    """Of schedulers, or of what was saved of them: what does not change while they run."""
    groups = schedulers.values() if isinstance(schedulers, dict) else [schedulers or []]
    states = [each.state_dict() if hasattr(each, 'state_dict') else each for group in groups for each in group]
    changing = ('last_step', '_global_step', '_last_value', 'verbose')
    return [{name: value for name, value in state.items() if name not in changing} for state in states]


def _check_schedule(ours: list[dict], saved: list[dict]) -> None:
    nothing: dict = {}
    for number, (here, there) in enumerate(zip_longest(ours, saved, fillvalue=nothing)):
        name = next((name for name in {**here, **there} if here.get(name) != there.get(name)), None)
        if name:
            raise ValueError(
                f'the checkpoint goes on with another schedule than the config has: of param_scheduler.{number} {name} '
                f'is {there.get(name)!r:.60} there and {here.get(name)!r:.60} here. Resume with the settings it had '
                '(train_cfg, learning rate, batch size and number of processes settle these), or begin a new run with '
                'its weights: --cfg-options load_from=CHECKPOINT'
            )


def _validation_is_due(runner) -> bool:
    """Whether the loop would have validated where it goes on, and the checkpoint does not say that it did."""
    loop = runner.train_loop
    if runner.val_loop is None or not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
        return False
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    done, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, done + 1) - 1]
    if not done or done < loop.val_begin or (done % interval and done != last):
        return False
    validated = runner.message_hub.runtime_info.get('last_validation', [0, 0])
    return validated[0 if by_epoch else 1] != done
