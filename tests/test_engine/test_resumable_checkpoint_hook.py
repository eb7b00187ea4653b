"""Runs that were killed between a checkpoint and its validation, and copies of work dirs."""

import shutil
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from project import environment, run_tool, weights
from torch.utils.data import DataLoader, TensorDataset

from mmvlforge.apis.checkpoints import newest_whole
from mmvlforge.engine.hooks import ResumableCheckpointHook

SCORES = {1: 30.0, 2: 90.0, 3: 50.0}

# The metrics of each validation are given, and a run is killed where the environment says, after saving the checkpoint.
SCRIPT = f"""
import os, signal
from mmengine.hooks import Hook
from mmvlforge.registry import HOOKS

@HOOKS.register_module(force=True)
class Script(Hook):
    priority = 'VERY_HIGH'

    def before_val_epoch(self, runner):
        if os.environ.get('KILL_AT') == str(runner.epoch):
            os.kill(os.getpid(), signal.SIGKILL)

    def after_val_epoch(self, runner, metrics=None):
        metrics['AUC'] = {SCORES}[runner.epoch]
"""


def content(path) -> dict:
    return torch.load(path, weights_only=False)


def best(work_dir) -> list[str]:
    return sorted(path.name for path in work_dir.glob('best_*'))


@pytest.fixture(scope='module')
def scripted(tiny_config, tmp_path_factory) -> Path:
    """Config and uninterrupted run of three epochs, the second of which is the best."""
    root = tmp_path_factory.mktemp('scripted')
    (root / 'scripted_validation.py').write_text(SCRIPT)
    (root / 'scripted.py').write_text(
        f"_base_ = {str(tiny_config)!r}\ncustom_imports = dict(imports=['scripted_validation'])\n"
        "custom_hooks = [*_base_.get('custom_hooks', []), dict(type='Script')]\n"
        'train_cfg = dict(max_epochs=3, val_interval=1)\n'
    )
    train(root, root / 'whole')
    return root


def train(root, work_dir, *arguments, check=True, **env):
    path = f'{root}:{environment()["PYTHONPATH"]}'
    command = ('tools/train.py', root / 'scripted.py', '--work-dir', work_dir, *arguments)
    return run_tool(*command, env=dict(env, PYTHONPATH=path), check=check)


@pytest.mark.parametrize(('killed_at', 'best_then'), [(2, 'best_AUC_epoch_1.pth'), (3, 'best_AUC_epoch_2.pth')])
def test_a_run_killed_in_its_validation_has_the_best_of_an_uninterrupted_one(scripted, tmp_path, killed_at, best_then):
    assert train(scripted, tmp_path, check=False, KILL_AT=str(killed_at)).returncode == -9
    assert (tmp_path / f'epoch_{killed_at}.pth').is_file() and best(tmp_path) == [best_then]
    assert 'The checkpoint does not hold its validation' in train(scripted, tmp_path, '--resume').stdout

    whole = scripted / 'whole'
    assert best(tmp_path) == best(whole) == ['best_AUC_epoch_2.pth']
    for name, value in weights(whole, 3).items():
        assert torch.equal(value, weights(tmp_path, 3)[name]), name
    uninterrupted, resumed = (content(folder / 'epoch_3.pth')['message_hub'] for folder in (whole, tmp_path))
    assert resumed['runtime_info']['best_score'] == uninterrupted['runtime_info']['best_score'] == 90.0
    for name in ('val/AUC', 'val/mAP', 'train/loss'):
        expected, found = (hub['log_scalars'][name].data for hub in (uninterrupted, resumed))
        assert (expected[0] == found[0]).all() and (expected[1] == found[1]).all(), name


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor'):
        out = self.layer(inputs)
        return dict(loss=out.square().mean()) if mode == 'loss' else [out]


class Score(BaseMetric):
    """As good as the script says at this validation; a run stops in the one that it names."""

    def __init__(self, scores, stop=None):
        super().__init__()
        self.scores, self.stop, self.runner = scores, stop, None

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        done = self.runner.iter if self.runner.train_loop.max_epochs == 1 else self.runner.epoch
        if done == self.stop:
            raise KeyboardInterrupt
        return dict(score=self.scores.get(done, 0.0))


class Watch(Hook):
    def __init__(self):
        self.validated = []

    def after_val_epoch(self, runner, metrics=None):
        self.validated.append((runner.epoch, runner.iter))


def run(work_dir, train_cfg, scores, stop=None, checkpoint=None, interval=1, schedule=None, resume=True, **hook):
    torch.manual_seed(0)
    score, watch = Score(scores, stop), Watch()
    runner = Runner(
        Toy(),
        str(work_dir),
        train_dataloader=DataLoader(TensorDataset(torch.arange(8.0)[:, None]), batch_size=2),
        val_dataloader=DataLoader(TensorDataset(torch.arange(2.0)[:, None]), batch_size=2),
        train_cfg=train_cfg,
        val_cfg=dict(),
        val_evaluator=Evaluator(score),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        param_scheduler=schedule,
        default_hooks=dict(
            checkpoint=dict(
                type='ResumableCheckpointHook', save_best='score', rule='greater', interval=interval, **hook
            )
        ),
        custom_hooks=[watch],
        experiment_name=f'{work_dir}{stop}{checkpoint}',
        load_from=checkpoint,
        resume=resume and checkpoint is not None,
        default_scope='mmvlforge',
    )
    score.runner = runner
    try:
        runner.train()
    except KeyboardInterrupt:
        assert stop is not None
    return watch


def test_by_iterations_too(tmp_path):
    """Only where a validation was due: every fourth step, while a checkpoint is saved every second."""
    loop, scores = dict(by_epoch=False, max_iters=8, val_interval=4), {4: 0.9, 8: 0.5}
    how = dict(by_epoch=False, interval=2)
    assert run(tmp_path / 'whole', loop, scores, **how).validated == [(0, 4), (0, 8)]
    run(tmp_path / 'cut', loop, scores, stop=4, **how)
    resumed = run(tmp_path / 'cut', loop, scores, checkpoint=str(tmp_path / 'cut/iter_4.pth'), **how)
    assert resumed.validated == [(0, 4), (0, 8)]
    assert best(tmp_path / 'cut') == best(tmp_path / 'whole') == ['best_score_iter_4.pth']
    assert run(tmp_path / 'cut', loop, scores, checkpoint=str(tmp_path / 'cut/iter_6.pth'), **how).validated == [(0, 8)]


def test_what_the_checkpoint_holds_or_was_not_due_is_not_validated_again(tmp_path):
    loop, scores = dict(by_epoch=True, max_epochs=3, val_interval=2), {2: 0.9, 3: 0.5}
    assert run(tmp_path, loop, scores).validated == [(2, 8), (3, 12)]
    for epoch, expected in ((1, [(2, 8), (3, 12)]), (2, [(3, 12)]), (3, [(3, 12)])):
        found = run(tmp_path, loop, scores, checkpoint=str(tmp_path / f'epoch_{epoch}.pth')).validated
        assert found == expected, epoch


def test_the_resumed_copy_of_a_work_dir_leaves_the_other_alone(tmp_path):
    """The checkpoint names the best one by an absolute path, and MMEngine removes the one that is surpassed."""
    old, new = tmp_path / 'old', tmp_path / 'new'
    run(old, dict(by_epoch=True, max_epochs=1), {1: 0.5})
    shutil.copytree(old, new)
    checkpoint, told = newest_whole(new)
    assert checkpoint == str(new / 'epoch_1.pth') and told is None
    run(new, dict(by_epoch=True, max_epochs=2), {2: 0.9}, checkpoint=checkpoint)
    assert best(old) == ['best_score_epoch_1.pth'] and not (old / 'epoch_2.pth').exists()
    assert best(new) == ['best_score_epoch_2.pth']


def test_the_best_one_comes_along_into_a_new_folder(tmp_path, caplog):
    old, new = tmp_path / 'old', tmp_path / 'new'
    run(old, dict(by_epoch=True, max_epochs=2), {1: 0.9, 2: 0.5})
    loop, scores = dict(by_epoch=True, max_epochs=3), {2: 0.5, 3: 0.6}
    run(new, loop, scores, checkpoint=str(old / 'epoch_2.pth'))
    assert best(new) == best(old) == ['best_score_epoch_1.pth']
    known = content(new / 'epoch_3.pth')['message_hub']['runtime_info']
    assert known['best_ckpt'] == str(new / 'best_score_epoch_1.pth') and known['best_score'] == 0.9
    (old / 'best_score_epoch_1.pth').unlink()
    run(tmp_path / 'third', loop, scores, checkpoint=str(old / 'epoch_2.pth'))
    assert best(tmp_path / 'third') == []
    (log,) = (tmp_path / 'third').glob('*/*.log')
    assert f'best checkpoint so far, {old}/best_score_epoch_1.pth, is gone; only a better one' in log.read_text()


SCHEDULE = dict(type='PolyLR', by_epoch=False, end=12)


@pytest.mark.parametrize(
    ('schedule', 'told'),
    [
        ([dict(SCHEDULE, end=16)], 'of param_scheduler.0 total_iters is 11 there and 15 here'),
        ([dict(SCHEDULE, power=2.0)], 'power is 1.0 there and 2.0 here'),
        ([dict(type='CosineAnnealingLR', by_epoch=False, T_max=11, end=12)], 'T_max is None there and 11 here'),
        ([SCHEDULE, SCHEDULE], 'of param_scheduler.1 eta_min is None there and 0 here'),
        (None, 'of param_scheduler.0 eta_min is 0 there and None here'),
    ],
)
def test_another_schedule_is_refused(tmp_path, schedule, told):
    """MMEngine goes on with the checkpoint's, whatever the config says."""
    loop = dict(by_epoch=True, max_epochs=3)
    run(tmp_path / 'cut', loop, {}, stop=2, schedule=[SCHEDULE])
    start = dict(checkpoint=str(tmp_path / 'cut/epoch_2.pth'))
    with pytest.raises(ValueError, match=told):
        run(tmp_path / 'cut', loop, {}, schedule=schedule, **start)
    run(tmp_path / 'anew', loop, {}, schedule=schedule, **start, resume=False)
    run(tmp_path / 'cut', loop, {}, schedule=[SCHEDULE], **start)


def test_several_best_ones_come_along(tmp_path):
    hook = ResumableCheckpointHook(save_best=['a', 'b'], rule='greater')
    hub = {'best_ckpt_a': '/elsewhere/best_a_epoch_1.pth', 'last_ckpt': '/elsewhere/epoch_2.pth'}
    (tmp_path / 'epoch_2.pth').touch()

    class Runner:
        work_dir, val_loop, train_loop, iter = str(tmp_path), None, None, 0
        logger = type('Logger', (), dict(info=staticmethod(print), warning=staticmethod(print)))
        message_hub = type(
            'Hub', (), dict(runtime_info=hub, get_info=staticmethod(hub.get), update_info=staticmethod(hub.__setitem__))
        )

    hook.before_train(Runner)
    assert hook.best_ckpt_path_dict == {'a': str(tmp_path / 'best_a_epoch_1.pth'), 'b': None}
    assert hook.last_ckpt == hub['last_ckpt'] == str(tmp_path / 'epoch_2.pth')
