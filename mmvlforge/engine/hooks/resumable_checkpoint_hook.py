"""Checkpoints from which a run goes on as if it had not stopped."""

from bisect import bisect
from pathlib import Path

from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmvlforge.registry import HOOKS


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook with the same arguments; a resumed run ends as an uninterrupted one does.

    * A checkpoint is saved before its validation. Where it does not hold the result, because the run was stopped
      meanwhile or because it was not the best, a resumed run validates first.
    * The paths in a checkpoint are those of the folder where it was written. In a copy of that folder the best
      checkpoint is the copy, and the one it was copied from stays.
    * What is saved after a validation is of the epoch that ended. MMEngine's FlexibleRunner takes it for the next one,
      which a resumed run would then leave out.
    """

    _validated = False  # within what follows a validation

    def before_train(self, runner) -> None:
        """Take up the former run's paths and, if it is due, its validation."""
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
            hub.update_info(name, path)
        last = known.get('last_ckpt')
        if last and self.file_backend.exists(last):
            self.last_ckpt = last
        if self.save_best is not None:
            if len(self.key_indicators) == 1:
                self.best_ckpt_path = known.get('best_ckpt')
            else:
                self.best_ckpt_path_dict = {key: known.get(f'best_ckpt_{key}') for key in self.key_indicators}


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
