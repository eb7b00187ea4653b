"""Guards over all configs: they build, their data sets and loaders agree, and the commands they name exist."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from project import ROOT

from mmvlforge.registry import DATASETS, METRICS, MODELS, TRANSFORMS

CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
IDS = [str(p.relative_to(ROOT / 'configs')) for p in CONFIGS]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
each_config = pytest.mark.parametrize('path', CONFIGS, ids=IDS)


def load(path: Path) -> Config:
    cfg = Config.fromfile(str(path))
    init_default_scope(cfg.default_scope)
    return cfg


@each_config
def test_model_builds(path):
    cfg = load(path)
    with torch.device('meta'):  # full-size models without their memory
        model = MODELS.build(cfg.model)
    assert model.neck.image_transform.in_features == cfg.model.neck.image_dims


@each_config
def test_data_sets_transforms_and_metrics_build(path):
    cfg = load(path)
    for name in LOADERS:
        dataset = DATASETS.build(dict(cfg[name].dataset, lazy_init=True))
        assert dataset.pipeline.transforms
    evaluators = {cfg.val_evaluator.type, cfg.test_evaluator.type}
    assert evaluators == {'Evaluator'}
    for metric in [*cfg.val_evaluator.metrics, *cfg.test_evaluator.metrics]:
        METRICS.build(metric)


@each_config
def test_pipelines_in_the_loaders_are_the_named_ones(path):
    """A child that overrides ``train_pipeline`` alone would change nothing: its loader holds the parent's."""
    cfg = load(path)
    for name, variable in zip(LOADERS, ('train_pipeline', 'test_pipeline', 'test_pipeline')):
        if variable in cfg:
            assert cfg[name].dataset.pipeline == cfg[variable], f'{name} does not use {variable}'
    for name, (key, value) in ((n, kv) for n in LOADERS for kv in cfg[n].dataset.items()):
        if key in ('tokenizer', 'data_root', 'class_map') and key in cfg:
            assert value == cfg[key], f'{name} does not use {key}'


@each_config
def test_validation_and_test_see_the_same(path):
    """``test_dataloader = val_dataloader`` is frozen in the base: a child has to override both."""
    cfg = load(path)
    val, test = (dict(cfg[name].dataset, ann_file=None) for name in LOADERS[1:])
    assert val == test
    assert cfg.val_evaluator == cfg.test_evaluator


@each_config
def test_variants_are_short_and_say_how_to_run_them(path):
    text = path.read_text()
    cfg = Config.fromfile(str(path))
    doc, code = text.split('"""')[1], '"""'.join(text.split('"""')[2:])
    commands = re.findall(r'^(?:bash|python) .*$', doc, re.M)
    assert commands, 'the docstring names no command'
    for command in commands:
        words = shlex.split(command)
        assert (ROOT / words[1]).is_file()
        assert (ROOT / words[2]) == path
    if isinstance(cfg.get('_base_', re.search(r"_base_ = '", code) and 'one'), str):
        lines = [line for line in code.splitlines() if line.strip()]
        assert len(lines) <= 15, f'{len(lines)} lines'


def documents():
    return [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


@pytest.mark.parametrize('path', documents(), ids=lambda p: p.name)
def test_commands_in_documents_name_real_files(path):
    text = path.read_text()
    named = set(re.findall(r'(?<![\w/.])((?:tools|configs|docs|requirements|tests)/[\w./-]+\.\w+)', text))
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_encoder_learning_rate_variant_reaches_the_encoders():
    from mmengine.optim import build_optim_wrapper

    cfg = load(ROOT / 'configs/dgm4/dca_imq_encoder_lr.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    names = [name for name, _ in model.named_parameters()]
    assert len(groups) == len(names)
    for name, group in zip(names, groups):
        expected = 1e-5 if name.startswith(('image_encoder', 'text_encoder')) else 5e-5
        assert group['lr'] == pytest.approx(expected), name


def test_schedule_of_the_paper():
    """1000 steps up to 1e-4, then a cosine down to 1e-6."""
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import PARAM_SCHEDULERS

    cfg = load(ROOT / 'configs/dgm4/dca_imq.py')
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper)
    steps_an_epoch = 614  # 157,169 records, 8 x 32 a step
    warm_up, cosine = cfg.param_scheduler
    schedulers = [PARAM_SCHEDULERS.build(dict(warm_up, optimizer=wrapper))]
    cosine = {k: v for k, v in cosine.items() if k not in ('type', 'convert_to_iter_based')}
    schedulers.append(
        PARAM_SCHEDULERS.get('CosineAnnealingLR').build_iter_from_epoch(
            optimizer=wrapper, epoch_length=steps_an_epoch, **cosine
        )
    )
    rates = []
    for _ in range(50 * steps_an_epoch):
        rates.append(wrapper.optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    assert rates[0] < 2e-7
    assert max(rates) == pytest.approx(1e-4, rel=0.01)
    assert abs(rates.index(max(rates)) - 1000) < 10
    assert rates[-1] == pytest.approx(1e-6, rel=0.01)
    assert all(a >= b for a, b in zip(rates[1000:], rates[1001:]))


def test_transforms_of_the_paper():
    cfg = load(ROOT / 'configs/dgm4/dca_imq.py')
    pipeline = [TRANSFORMS.build(t) for t in cfg.train_dataloader.dataset.pipeline]
    augment = next(t for t in pipeline if type(t).__name__ == 'RandAugment')
    assert (augment.num_policies, augment.magnitude_level) == (2, 7)


def test_fsdp_strategy_builds(tmp_path):
    import mmengine.runner  # noqa: F401  registers the strategies
    from mmengine.registry import FUNCTIONS, STRATEGIES

    cfg = load(ROOT / 'configs/dgm4/dca_imq_fsdp.py')
    strategy = STRATEGIES.build(dict(cfg.strategy, work_dir=str(tmp_path), experiment_name='fsdp'))
    assert type(strategy).__name__ == 'FSDPStrategy'
    assert callable(FUNCTIONS.get(cfg.strategy.model_wrapper.auto_wrap_policy.type))
    assert cfg.runner_type == 'FlexibleRunner'


def test_deepspeed_strategy_takes_its_settings(tmp_path):
    """DeepSpeed itself is optional: the settings are held against the signatures, and built where it is installed."""
    import inspect
    from importlib.util import find_spec

    import mmengine.runner  # noqa: F401
    from mmengine.registry import OPTIM_WRAPPERS, STRATEGIES

    cfg = load(ROOT / 'configs/dgm4/dca_imq_deepspeed.py')
    settings = {k: v for k, v in cfg.strategy.items() if k != 'type'}
    known = inspect.signature(STRATEGIES.get(cfg.strategy.type).__init__).parameters
    assert set(settings) <= set(known)
    assert OPTIM_WRAPPERS.get(cfg.optim_wrapper.type) is not None
    if find_spec('deepspeed'):
        STRATEGIES.build(dict(cfg.strategy, work_dir=str(tmp_path), experiment_name='deepspeed'))
