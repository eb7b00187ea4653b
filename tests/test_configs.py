"""Guards over all configs: they build, their data sets and loaders agree, and the commands they name exist."""

import re
import shlex
from pathlib import Path

import edits  # noqa: F401  registers EveryOtherWord
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from project import ROOT

from mmvlforge.cli import main
from mmvlforge.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmvlforge.structures import CaptionTargets, VLInputs

CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
IDS = [str(p.relative_to(ROOT / 'configs')) for p in CONFIGS]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
each_config = pytest.mark.parametrize('path', CONFIGS, ids=IDS)
VILEM = [p for p in CONFIGS if p.parent.name == 'vilem' and p.stem != 'mini_lm']
each_vilem = pytest.mark.parametrize('path', VILEM, ids=[p.stem for p in VILEM])


def load(path: Path) -> Config:
    cfg = Config.fromfile(str(path))
    init_default_scope(cfg.default_scope)
    return cfg


def loaders(cfg: Config) -> list:
    """Names of the loaders; a config that only trains has one, one that only evaluates two."""
    return [name for name in LOADERS if cfg.get(name)]


@each_config
def test_model_builds(path):
    cfg = load(path)
    with torch.device('meta'):  # full-size models without their memory
        model = MODELS.build(cfg.model)
    assert sum(p.numel() for p in model.parameters()) > 1e5


@each_config
def test_data_sets_transforms_and_metrics_build(path):
    cfg = load(path)
    for name in loaders(cfg):
        dataset = DATASETS.build(dict(cfg[name].dataset, lazy_init=True))
        assert dataset.pipeline.transforms
    if 'val_evaluator' not in cfg:
        return
    evaluators = {cfg.val_evaluator.type, cfg.test_evaluator.type}
    assert evaluators == {'Evaluator'}
    for metric in [*cfg.val_evaluator.metrics, *cfg.test_evaluator.metrics]:
        METRICS.build(metric)


@each_config
def test_pipelines_in_the_loaders_are_the_named_ones(path):
    """A child that overrides ``train_pipeline`` alone would change nothing: its loader holds the parent's."""
    cfg = load(path)
    for name in loaders(cfg):
        variable = 'train_pipeline' if name == 'train_dataloader' else 'test_pipeline'
        if variable in cfg:
            assert cfg[name].dataset.pipeline == cfg[variable], f'{name} does not use {variable}'
        tokenizers = [t for t in cfg[name].dataset.pipeline if t.type in ('WordTokenizer', 'CaptionTokenizer')]
        assert tokenizers == [cfg.tokenizer] or tokenizers[0].name == cfg.tokenizer, f'{name} does not use tokenizer'
    for name, (key, value) in ((n, kv) for n in loaders(cfg) for kv in cfg[n].dataset.items()):
        # Caption models are trained on other sets than they are tested on.
        of_tests = name != 'train_dataloader' or path.parent.name != 'vilem'
        if key in ('data_root', 'class_map') and key in cfg and of_tests:
            assert value == cfg[key], f'{name} does not use {key}'


@each_config
def test_validation_and_test_see_the_same(path):
    """``test_dataloader = val_dataloader`` is frozen in the base: a child has to override both."""
    cfg = load(path)
    if 'val_dataloader' not in cfg:
        return
    val, test = (dict(cfg[name].dataset, ann_file=None) for name in LOADERS[1:])
    for dataset in (val, test):  # the one file of Karpathy's splits has both
        dataset['reader'] = {k: v for k, v in dataset.get('reader', {}).items() if k != 'split'}
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
        for run, epoch in re.findall(r'work_dirs/(\w+)/epoch_(\d+)\.pth', command):
            trained = next(p for p in CONFIGS if p.stem == run)
            assert int(epoch) == Config.fromfile(str(trained)).train_cfg.max_epochs
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


def meta_batch(size: int) -> tuple:
    """Two pairs with pictures of the given side, without memory."""

    def of(dtype, *shape):
        return torch.zeros(shape, dtype=dtype, device='meta')

    inputs = VLInputs(of(torch.float32, 2, 3, size, size), of(torch.int64, 2, 20), *(of(torch.bool, 2, 20),) * 2)
    return inputs, CaptionTargets(of(torch.int64, 2))


@each_vilem
def test_vilem_loses_and_predicts_at_full_size(path):
    """On the meta device: shapes agree, and nothing after the edition makes the host wait for an accelerator."""
    cfg = load(path)
    corruptor = dict(corruptor=dict(type='EveryOtherWord')) if 'corruptor' in cfg.model else {}
    with torch.device('meta'):
        model = MODELS.build(dict(cfg.model, **corruptor)).train()
    inputs, targets = meta_batch(cfg.image_size[0])
    losses = model(inputs, targets, mode='loss')
    sum(losses.values()).backward()
    assert {name.split('_')[1] for name in losses} == {'align', *getattr(model, 'paths', ())}
    # DistributedDataParallel would stop at a parameter without a gradient.
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert model(inputs).image.shape == model(inputs).text.shape == (2, cfg.model.embed_dims)


def test_a_config_for_tests_alone_is_not_trained(tmp_path, capsys):
    assert main(['train', 'vilem/vilem_winoground', '--work-dir', str(tmp_path)]) == 2
    assert 'vilem/vilem_winoground: has no train_dataloader' in capsys.readouterr().err


def losses_of(name: str) -> set:
    cfg = load(ROOT / f'configs/vilem/{name}.py')
    parts = {'local': cfg.model.get('local_path'), 'global': cfg.model.get('global_path')}
    heads = {'detection': cfg.model.get('detection_head'), 'correction': cfg.model.get('correction_head')}
    return {f'{p} {h}' for p in parts if parts[p] for h in heads if heads[h]}


@pytest.mark.parametrize('name', ['vilem_table5_{}', 'vilem_mini_table5_{}'])
def test_rows_of_table_5(name):
    det, cor = (lambda p: f'{p} detection'), (lambda p: f'{p} correction')
    rows = dict(
        a=set(),
        b={det('local')},
        c={cor('local')},
        d={det('local'), cor('local')},
        e={det('global')},
        f={cor('global')},
        g={det('global'), cor('global')},
    )
    for row, losses in rows.items():
        assert losses_of(name.format(row)) == losses, row
    whole = losses_of('vilem_mini' if 'mini' in name else 'vilem_table5_h')
    assert whole == {f(p) for f in (det, cor) for p in ('local', 'global')}


def test_settings_of_the_paper_reach_vilem():
    cfg = load(ROOT / 'configs/vilem/vilem_base_cc4m.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    vit, bert, head = model.image_encoder.backbone, model.text_encoder, model.contrastive_head
    assert len(vit.layers) == 12 and vit.pos_embed.shape == (1, 257, 768)
    assert len(bert.layers) == 12 and bert.num_cross_layers == model.num_edit_layers == 6
    assert head.image_queue.shape == head.text_queue.shape == (65536, 256) and model.momentum.momentum == 0.995
    assert cfg.model.contrastive_head.temperature == 0.07 and not head.multi_positive and not head.distill_alpha
    assert {name: path.loss_weight for name, path in model.paths.items()} == {'local': 0.8, 'global': 0.2}
    corruptor = model.corruptor
    assert (corruptor.rate, corruptor.max_edits, corruptor.top_k, corruptor.mode) == (0.15, 8, 20, 'lm')
    assert corruptor.joint and not model.detection_head.skip_unedited
    assert cfg.model.correction_head.init_cfg == cfg.model.text_encoder.init_cfg
    train, test = ([t.get('max_words') for t in p] for p in (cfg.train_pipeline, cfg.test_pipeline))
    assert 30 in train and 35 in test
    assert cfg.image_size == (256, 256) and cfg.train_dataloader.batch_size * 32 == 2048
    assert cfg.train_cfg.max_epochs == 20 and cfg.optim_wrapper.optimizer.weight_decay == 0.02


@pytest.mark.parametrize('layers', [4, 6, 8, 10, 12])
def test_rows_of_table_6(layers):
    cfg = load(ROOT / f'configs/vilem/vilem_table{"5_h" if layers == 6 else f"6_{layers}"}.py')
    assert cfg.model.num_edit_layers == cfg.model.text_encoder.num_cross_layers == layers


@pytest.mark.parametrize('name', ['vilem_table', 'vilem_mini_table'])
def test_rows_of_table_7(name):
    whole = load(ROOT / f'configs/vilem/{"vilem_mini" if "mini" in name else "vilem_table5_h"}.py').model
    rows = {row: load(ROOT / f'configs/vilem/{name}7_{row}.py').model for row in 'bcdef'}

    def differences(row):
        return {key for key in whole.keys() | row.keys() if whole.get(key) != row.get(key)}

    assert differences(rows['b']) == {'corruptor', 'detection_head'}
    assert rows['b'].corruptor.mode == 'masked' and rows['b'].detection_head is None
    assert rows['c'].type == 'EditedTextContrast' and 'mode' not in rows['c'].corruptor
    assert differences(rows['d']) == {'local_path'} and rows['d'].local_path.type == 'HighestLevelPath'
    assert differences(rows['e']) == {'local_path', 'global_path'}
    assert rows['e'].local_path == dict(type='UnifiedPath', loss_weight=1.0) and rows['e'].global_path is None
    # E has one path with the weight of both: beside it stands the local path alone with that weight.
    control = load(ROOT / f'configs/vilem/{name}5_d_full_weight.py').model
    assert differences(control) == {'local_path', 'global_path'}
    assert control.local_path == dict(type='LocalPath', loss_weight=1.0) and control.global_path is None
    assert differences(rows['f']) == {'corruptor'} and rows['f'].corruptor.mode == 'random'


@pytest.mark.parametrize('pairs', ['cc4m', 'cc13m'])
def test_table_4_without_vilem(pairs):
    """The same encoders, data and schedule, and no more than the contrastive loss."""
    plain, whole = (load(ROOT / f'configs/vilem/vilem_base_{pairs}{x}.py') for x in ('_contrastive', ''))
    assert plain.model.type == 'DualEncoder' and whole.model.type == 'ViLEM'
    text = {k: v for k, v in whole.model.text_encoder.items() if k != 'cross_gain'}
    assert plain.model == {k: whole.model[k] for k in plain.model} | dict(
        type='DualEncoder', text_encoder=dict(text, num_cross_layers=0)
    )
    for key in ('train_dataloader', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'val_evaluator'):
        assert plain[key] == whole[key]
    test = load(ROOT / 'configs/vilem/vilem_contrastive_winoground.py')
    assert test.model == plain.model
    assert test.test_dataloader == load(ROOT / 'configs/vilem/vilem_winoground.py').test_dataloader


def test_options_that_are_off_by_default():
    distilled = load(ROOT / 'configs/vilem/vilem_base_cc4m_distill.py').model.contrastive_head
    assert (distilled.distill_alpha, distilled.distill_ramp) == (0.4, 5_100_000 // 2048)
    momentum, plain = (load(ROOT / f'configs/vilem/vilem_coco_zeroshot{x}.py').model for x in ('_momentum', ''))
    assert momentum.momentum_features and not plain.momentum_features


@pytest.mark.parametrize('name, epochs', [('coco', 5), ('flickr30k', 10)])
def test_settings_of_fine_tuning(name, epochs):
    cfg = load(ROOT / f'configs/vilem/vilem_{name}_ft.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert model.image_encoder.backbone.pos_embed.shape == (1, 1 + 24**2, 768) and cfg.image_size == (384, 384)
    assert model.contrastive_head.multi_positive and len(model.paths) == 2
    assert cfg.model.correction_head.init_cfg is None  # all of it comes from the pre-training
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].T_max == cfg.param_scheduler[-1].end == epochs
    assert cfg.optim_wrapper.optimizer.lr == 1e-5


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


@pytest.mark.parametrize(
    'name, warm_up_steps, highest, lowest, epochs, steps_an_epoch',
    [
        ('dgm4/dca_imq', 1000, 1e-4, 1e-6, 50, 614),  # 157,169 records, 8 x 32 a step
        ('vilem/vilem_base_cc4m', 2000, 3e-4, 1e-5, 20, 2490),  # 5.1 million pairs, 32 x 64 a step
        ('vilem/vilem_table5_a', 2000, 3e-4, 1e-5, 20, 489),  # 1 million pairs
        ('vilem/vilem_table7_f', 2000, 3e-4, 1e-5, 20, 489),
    ],
)
def test_schedules_of_the_papers(name, warm_up_steps, highest, lowest, epochs, steps_an_epoch):
    """Up in a straight line, then a cosine down."""
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import PARAM_SCHEDULERS

    cfg = load(ROOT / f'configs/{name}.py')
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper)
    warm_up, cosine = cfg.param_scheduler
    schedulers = [PARAM_SCHEDULERS.build(dict(warm_up, optimizer=wrapper))]
    cosine = {k: v for k, v in cosine.items() if k not in ('type', 'convert_to_iter_based')}
    schedulers.append(
        PARAM_SCHEDULERS.get('CosineAnnealingLR').build_iter_from_epoch(
            optimizer=wrapper, epoch_length=steps_an_epoch, **cosine
        )
    )
    rates = []
    for _ in range(epochs * steps_an_epoch):
        rates.append(wrapper.optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    assert rates[0] < 2e-3 * highest
    assert max(rates) == pytest.approx(highest, rel=0.01)
    assert abs(rates.index(max(rates)) - warm_up_steps) < 10
    assert rates[-1] == pytest.approx(lowest, rel=0.01)
    assert all(a >= b for a, b in zip(rates[warm_up_steps:], rates[warm_up_steps + 1 :]))


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
