"""``test --amp``: bfloat16 on any device, in both systems."""

import json
import math

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmvlforge.cli import main
from mmvlforge.engine.hooks import AutocastTestHook
from mmvlforge.manifest import read_metrics_file


class Seeing(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 2)
        self.seen = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.seen.append(self.linear(inputs).dtype)
        return [inputs]


class Nothing(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {}


@pytest.mark.parametrize(('hooks', 'wanted'), [([], torch.float32), ([AutocastTestHook()], torch.bfloat16)])
def test_the_model_computes_in_bfloat16(tmp_path, hooks, wanted):
    model = Seeing()
    loader = torch.utils.data.DataLoader([dict(inputs=torch.ones(4))] * 3, batch_size=2)
    runner = Runner(
        model,
        str(tmp_path),
        test_dataloader=loader,
        test_cfg=dict(),
        test_evaluator=Nothing(prefix=''),
        custom_hooks=hooks,
        experiment_name=f'{wanted}',
    )
    runner.test()
    assert model.seen == [wanted] * 2


def test_amp_tests_a_detector_on_a_cpu(detector, tiny_config, tmp_path):
    args = ['test', str(tiny_config), str(detector / 'tiny.pth'), '--work-dir', str(tmp_path)]
    found = {}
    for name, more in (('full', []), ('half', ['--amp'])):
        out = [f'--out={tmp_path / name}.json', f'--predictions={tmp_path / name}.jsonl']
        assert main([*args, *more, *out]) == 0
        found[name] = [json.loads(line) for line in (tmp_path / f'{name}.jsonl').read_text().splitlines()]
    assert read_metrics_file(tmp_path / 'full.json')[1]['precision'] == 'float32'
    metrics, manifest = read_metrics_file(tmp_path / 'half.json')
    assert manifest['precision'] == 'bfloat16 autocast' and manifest['arguments']['amp'] is True
    assert all(map(math.isfinite, metrics.values()))
    pairs = [(full['fake_score'], half['fake_score']) for full, half in zip(found['full'], found['half'])]
    assert all(full == pytest.approx(half, abs=0.02) for full, half in pairs)
    assert any(full != half for full, half in pairs)


def test_amp_tests_a_retriever_on_a_cpu(retriever, tmp_path):
    args = ['test', str(retriever / 'tiny.py'), str(retriever / 'tiny.pth'), '--work-dir', str(tmp_path), '--amp']
    assert main([*args, '--out', str(tmp_path / 'metrics.json')]) == 0
    metrics, manifest = read_metrics_file(tmp_path / 'metrics.json')
    assert manifest['precision'] == 'bfloat16 autocast' and 0 <= metrics['RSUM'] <= 600
