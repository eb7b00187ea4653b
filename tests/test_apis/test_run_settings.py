"""What a run makes of its settings before the first step: its learning rate, its length."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from project import ROOT

from mmvlforge.apis.running import train
from mmvlforge.registry import DATASETS, HOOKS, MODELS


class Seen(Exception):
    """Ends a run before its first step."""


@MODELS.register_module()
class OneWeight(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.weight


@DATASETS.register_module()
class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 64_000  # longer than any warm-up

    def __getitem__(self, idx):
        return idx


@HOOKS.register_module()
class TellLearningRate(Hook):
    def before_train(self, runner):
        raise Seen([group['initial_lr'] for group in runner.optim_wrapper.optimizer.param_groups])


RECIPE = """
_base_ = {base!r}
model = dict(_delete_=True, type='OneWeight')
load_from = None
train_dataloader = dict(num_workers=0, persistent_workers=False, pin_memory=False,
                        dataset=dict(_delete_=True, type='Numbers'))
val_dataloader = val_cfg = val_evaluator = None
custom_hooks = [dict(type='TellLearningRate')]
"""


@pytest.fixture
def recipe(tmp_path):
    """Writes a config of ours with a model of one weight, which says its learning rate instead of training."""

    def write(name: str) -> Path:
        path = tmp_path / f'{Path(name).stem}.py'
        path.write_text(RECIPE.format(base=str(ROOT / f'configs/{name}.py')))
        return path

    return write


def learning_rates(config, folder, scale, **options):
    with pytest.raises(Seen) as seen:
        train(config, str(folder), auto_scale_lr=scale, cfg_options=options)
    return seen.value.args[0]


@pytest.mark.parametrize(
    ('scale', 'options', 'wanted'),
    [
        (False, {}, 1e-4),
        (True, {}, 1e-4),  # 32 x 8 are the 256 of the base
        (True, {'optim_wrapper.accumulative_counts': 4}, 0.5e-4),
        (True, {'optim_wrapper.accumulative_counts': 3}, 1e-4 * 96 / 256),  # 256 / 3 is no whole number
        (True, {'train_dataloader.batch_size': 64}, 2e-4),
    ],
)
def test_accumulated_gradients_count_as_batch(recipe, tmp_path, scale, options, wanted):
    found = learning_rates(recipe('dgm4/dca_imq_1gpu'), tmp_path / 'run', scale, **options)
    assert found == pytest.approx([wanted] * len(found), rel=1e-14)
    if not options:
        assert set(found) == {1e-4}


def test_without_accumulation_as_ever_and_the_copy_in_the_work_dir_divides_once_too(recipe, tmp_path):
    assert learning_rates(recipe('dgm4/dca_imq_bf16'), tmp_path / 'bf16', True) == [1e-4 / 8]
    for number in range(2):
        config = tmp_path / 'run/dca_imq_1gpu.py' if number else recipe('dgm4/dca_imq_1gpu')
        assert learning_rates(config, tmp_path / 'run', True) == [1e-4]
        assert Config.fromfile(str(tmp_path / 'run/dca_imq_1gpu.py')).auto_scale_lr.base_batch_size == 256


@pytest.mark.parametrize(
    ('name', 'options', 'told'),
    [
        ('dgm4/dca_imq_fsdp', {'optim_wrapper.accumulative_counts': 2}, 'FlexibleRunner does not count accumulated'),
        ('dgm4/dca_imq_deepspeed', {'strategy.gradient_accumulation_steps': 2}, 'does not count accumulated'),
        ('dgm4/dca_imq_deepspeed', {'strategy.config.gradient_accumulation_steps': 2}, 'does not count accumulated'),
        ('dgm4/dca_imq_deepspeed', {'strategy.config': 'zero.json'}, 'gradients that zero.json may ask for'),
        ('dgm4/dca_imq_mini', {}, 'needs auto_scale_lr=dict(base_batch_size=...)'),
        ('dgm4/dca_imq', {'optim_wrapper.a.accumulative_counts': 2}, 'no one batch size'),
    ],
)
def test_what_cannot_be_counted_is_refused(tmp_path, name, options, told):
    with pytest.raises(ValueError) as refused:
        train(name, str(tmp_path / 'run'), auto_scale_lr=True, cfg_options=options)
    assert told in str(refused.value) and not (tmp_path / 'run').exists()


def test_a_length_that_nothing_reads_is_refused(recipe, tmp_path):
    config = recipe('dgm4/dca_imq')
    with pytest.raises(ValueError) as refused:
        train(config, str(tmp_path / 'run'), cfg_options=dict(max_epochs=7))
    told = 'max_epochs=7 at the top level does nothing: write train_cfg=dict(max_epochs=7)'
    assert told in str(refused.value) and not (tmp_path / 'run').exists()
    # A config may call its own length so.
    config.write_text(config.read_text() + 'max_epochs = 7\ntrain_cfg = dict(max_epochs=max_epochs)\n')
    assert learning_rates(config, tmp_path / 'run', False) == [1e-4]
