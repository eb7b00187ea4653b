"""Guards over all configs: they build, their data sets and loaders agree, and the commands they name exist."""

import math
import re
import shlex
from pathlib import Path

import edits  # noqa: F401  registers EveryOtherWord
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import FlexibleRunner, Runner
from project import ROOT

from mmvlforge.cli import main
from mmvlforge.cli.output import read_cfg_options
from mmvlforge.config_files import load_config
from mmvlforge.datasets.nested_datasets import nested_datasets
from mmvlforge.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmvlforge.structures import CaptionTargets, ManipulationTargets, VLInputs

CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
IDS = [str(p.relative_to(ROOT / 'configs')) for p in CONFIGS]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
each_config = pytest.mark.parametrize('path', CONFIGS, ids=IDS)
VILEM = [p for p in CONFIGS if p.parent.name == 'vilem' and p.stem != 'mini_lm']
each_vilem = pytest.mark.parametrize('path', VILEM, ids=[p.stem for p in VILEM])


def load(path: Path) -> Config:
    cfg = Config.fromfile(str(path))
    if cfg.model.get('image_encoder', {}).get('type') == 'OpenCLIPImageEncoder':
        pytest.importorskip('open_clip', reason='comes with the extra open-clip')
    init_default_scope(cfg.default_scope)
    return cfg


def loaders(cfg: Config) -> list:
    """Names of the loaders; a config that only trains has one, one that only evaluates two."""
    return [name for name in LOADERS if cfg.get(name)]


def data_sets(cfg: Config, name: str) -> list:
    """The data set of a loader, or the several that it reads as one."""
    dataset = cfg[name].dataset
    return dataset.datasets if dataset.type == 'ConcatDataset' else [dataset]


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
        assert len(list(nested_datasets(DATASETS.build(dict(cfg[name].dataset, lazy_init=True)), 'pipeline')))
        for settings in data_sets(cfg, name):
            assert DATASETS.build(dict(settings, lazy_init=True)).pipeline.transforms
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
    parts = [(name, dataset) for name in loaders(cfg) for dataset in data_sets(cfg, name)]
    for name, dataset in parts:
        variable = 'train_pipeline' if name == 'train_dataloader' else 'test_pipeline'
        if variable in cfg:
            assert dataset.pipeline == cfg[variable], f'{name} does not use {variable}'
        tokenizers = [t for t in dataset.pipeline if t.type in ('WordTokenizer', 'CaptionTokenizer')]
        assert tokenizers == [cfg.tokenizer] or tokenizers[0].name == cfg.tokenizer, f'{name} does not use tokenizer'
    for name, (key, value) in ((n, kv) for n, dataset in parts for kv in dataset.items()):
        # Caption models are trained on other sets than they are tested on.
        of_tests = name != 'train_dataloader' or path.parent.name != 'vilem'
        if key in ('data_root', 'class_map') and key in cfg and of_tests:
            of_several = key == 'data_root' and path.parent.name == 'forged'  # each in a folder of its own
            assert (value.startswith if of_several else value.__eq__)(cfg[key]), f'{name} does not use {key}'


@each_config
def test_validation_and_test_see_the_same(path):
    """``test_dataloader = val_dataloader`` is frozen in the base: a child has to override both."""
    cfg = load(path)
    if 'val_dataloader' not in cfg:
        return
    val, test = ([dict(part, ann_file=None) for part in data_sets(cfg, name)] for name in LOADERS[1:])
    for dataset in val + test:  # the one file of Karpathy's splits has both, and so has Flickr8k's
        dataset['reader'] = {k: v for k, v in dataset.get('reader', {}).items() if k not in ('split', 'images')}
        if '_to_' in path.stem:  # chosen on the source that it is trained on
            dataset['data_root'] = None
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


FORGED = [p for p in CONFIGS if p.parent.name == 'forged']


@pytest.mark.parametrize('path', FORGED, ids=[p.stem for p in FORGED])
def test_forged_configs_lose_and_predict_at_full_size(path):
    """Shapes agree on the meta device, where no weights are needed; and every parameter that is trained is reached."""
    cfg = load(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model).train()
    inputs, _ = meta_batch(cfg.image_size[0])
    kinds = torch.zeros(2, dtype=torch.int64, device='meta')
    box = torch.zeros(2, 4, device='meta')
    targets = ManipulationTargets(kinds, kinds, kinds, box, kinds.bool(), torch.zeros_like(inputs.input_ids))
    losses = model(inputs, targets, mode='loss')
    sum(losses.values()).backward()
    of_traces = path.stem.startswith('face_traces')
    assert {name.split('_')[1] for name in losses} >= (
        {'picture', 'cells'} if of_traces else {'binary', 'box', 'token'}
    )
    unreached = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    # Without layers of its own a branch hands on what its linear map made.
    assert not unreached, unreached


def test_rows_of_table_2_on_forged_photos():
    """Each differs from the whole model in the part that it is named after."""
    folder = ROOT / 'configs/forged'
    whole = load(folder / 'dca_imq_starter.py')
    parts = dict(
        baseline={'neck', 'type_head', 'box_head', 'token_head'},
        no_mt={'neck'},
        no_dfc={'type_head'},
        no_i_imq={'box_head'},
        no_t_imq={'token_head'},
        image_only={'text_encoder'},
        text_only={'image_encoder'},
        flickr8k_to_portraits={'image_encoder'},  # whose traces are of one source
        portraits_to_flickr8k={'image_encoder'},
    )
    detectors = {p.stem for p in FORGED if p.stem.startswith('dca')}
    assert detectors == {'dca_imq_starter', *(f'dca_imq_starter_{row}' for row in parts)}
    for row, differing in parts.items():
        cfg = load(folder / f'dca_imq_starter_{row}.py')
        assert {key for key in whole.model if cfg.model.get(key) != whole.model[key]} == differing, row
        assert cfg.optim_wrapper == whole.optim_wrapper
        # Training on one source and testing on another is the only other difference; without pictures no features of
        # them are kept.
        assert ('_to_' in row or row == 'text_only') == (cfg.train_dataloader != whole.train_dataloader)


def test_detectors_of_forged_photos_read_the_traces_that_were_trained():
    for path in FORGED:
        encoders = load(path).get('model', {}).image_encoder.get('encoders')
        if encoders:
            run, epoch = re.fullmatch(r'work_dirs/(\w+)/epoch_(\d+)\.pth', encoders[1].init_cfg.checkpoint).groups()
            trained = load(path.parent / f'{run}.py')
            assert trained.train_cfg.max_epochs == int(epoch)
            assert trained.model.image_encoder.fine_level == encoders[1].fine_level


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
    assert model(inputs).image.shape == model(inputs).text.shape == (2, cfg.model.embed_dims)
    if not cfg.model.get('contrastive_head'):  # it only retrieves
        return
    losses = model(inputs, targets, mode='loss')
    sum(losses.values()).backward()
    assert {name.split('_')[1] for name in losses} == {'align', *getattr(model, 'paths', ())}
    # DistributedDataParallel would stop at a parameter without a gradient.
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


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
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.optim_wrapper.optimizer.lr == 1e-5


class Toy(BaseModel):
    """A weight and a bias; the rate of each step is written down."""

    def __init__(self):
        super().__init__()
        self.layer, self.rates = torch.nn.Linear(1, 1), []

    def train_step(self, data, optim_wrapper):
        self.rates.append(optim_wrapper.param_groups[0]['lr'])
        optim_wrapper.update_params(self.layer(torch.ones(1, 1)).sum())
        return {}

    def forward(self, inputs, mode='tensor'):
        raise NotImplementedError


def toy_runner(cfg: Config, iterations: int, work_dir, kind=Runner) -> Runner:
    """A runner of the config's schedule, with epochs of so many steps."""
    return kind(
        model=Toy(),
        work_dir=str(work_dir),
        train_dataloader=torch.utils.data.DataLoader(range(iterations)),
        train_cfg=dict(cfg.train_cfg, val_begin=999),
        optim_wrapper=dict(cfg.optim_wrapper, type='OptimWrapper'),
        param_scheduler=cfg.param_scheduler,
        default_scope='mmvlforge',
        default_hooks=dict(logger=None, checkpoint=None),
        log_level='WARNING',
    )


def cosine(step, first, last, highest, lowest):
    """Of a step between the end of the warm-up and the end of the run."""
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * (step - first) / (last - first))) / 2


PAPERS = [
    ('dgm4/dca_imq', 1000, 1e-4, 1e-6, 50, 614),  # 157,169 records, 8 x 32 a step
    ('dgm4/dca_imq_1gpu', 8000, 1e-4, 1e-6, 50, 4912),  # the same, an eighth of it a step
    ('vilem/vilem_base_cc4m', 2000, 3e-4, 1e-5, 20, 2490),  # 5.1 million pairs, 32 x 64 a step
    ('vilem/vilem_table5_a', 2000, 3e-4, 1e-5, 20, 489),  # 1 million pairs
    ('vilem/vilem_table7_f', 2000, 3e-4, 1e-5, 20, 489),
    ('vilem/vilem_coco_ft', 0, 1e-5, 1e-6, 5, 2213),  # 566,435 captions, 8 x 32 a step
    ('vilem/vilem_flickr30k_ft', 0, 1e-5, 1e-6, 10, 567),
]


@pytest.mark.parametrize('name, warm_up, highest, lowest, epochs, steps_an_epoch', PAPERS, ids=[p[0] for p in PAPERS])
def test_schedules_of_the_papers(name, warm_up, highest, lowest, epochs, steps_an_epoch, tmp_path):
    """Up in a straight line to the paper's rate, exactly; then a cosine over the rest of the run, however long."""
    for options in ({}, {'train_cfg.max_epochs': 17}):
        cfg = load_config(f'configs/{name}.py', options)
        last = steps_an_epoch * options.get('train_cfg.max_epochs', epochs)
        runner = toy_runner(cfg, steps_an_epoch, tmp_path)
        assert runner.train_loop.max_iters == last
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        schedulers = runner.build_param_scheduler(cfg.param_scheduler)
        group = runner.optim_wrapper.param_groups[0]
        rates = []
        for _ in range(last):
            rates.append(group['lr'])
            for scheduler in schedulers:
                scheduler.step()
        wanted = [highest * (1e-3 + (1 - 1e-3) * step / (warm_up - 1)) for step in range(warm_up)]
        wanted += [cosine(step, warm_up, last, highest, lowest) for step in range(warm_up, last)]
        assert rates == pytest.approx(wanted, rel=1e-6)
        assert max(rates) == rates[warm_up] == pytest.approx(highest, rel=1e-10)
        assert group['lr'] == rates[-1] == pytest.approx(lowest, rel=1e-3)


@pytest.mark.parametrize('kind', [Runner, FlexibleRunner])
@pytest.mark.parametrize('epochs', [2, 7])
def test_schedules_as_they_are_run(kind, epochs, tmp_path):
    options = {'train_cfg.max_epochs': epochs, 'param_scheduler.0.end': 4, 'param_scheduler.1.begin': 4}
    runner = toy_runner(load_config('dgm4/dca_imq', options), 10, tmp_path, kind)
    runner.train()
    wanted = [1e-4 * (1e-3 + (1 - 1e-3) * step / 3) for step in range(4)]
    wanted += [cosine(step, 4, 10 * epochs, 1e-4, 1e-6) for step in range(4, 10 * epochs)]
    assert runner.model.rates == pytest.approx(wanted)


MINIS = [
    ('dgm4/dca_imq_mini', 100, 4e-4, lambda share: math.sqrt(1 - share)),
    ('vilem/vilem_mini', 100, 4e-4, lambda share: (1 + math.cos(math.pi * share)) / 2),
    ('vilem/mini_lm', 30, 3e-3, lambda share: (1 + math.cos(math.pi * share)) / 2),
]


@pytest.mark.parametrize('name, warm_up, highest, decay', MINIS, ids=[m[0] for m in MINIS])
@pytest.mark.parametrize('epochs, steps_an_epoch', [(1, 40), (3, 150)])
def test_schedules_of_the_mini_sets(name, warm_up, highest, decay, epochs, steps_an_epoch, tmp_path):
    """A decay to zero over train_cfg's run, times a warm-up; a run within the warm-up is one too."""
    runner = toy_runner(load_config(name, {'train_cfg.max_epochs': epochs}), steps_an_epoch, tmp_path)
    runner.train()
    last = epochs * steps_an_epoch
    ends = last - 1 if 'dca' in name else last  # PolyLR reaches zero at the last step, a cosine after it
    wanted = [highest * min(1, 1e-2 + (1 - 1e-2) * step / (warm_up - 1)) * decay(step / ends) for step in range(last)]
    assert runner.model.rates == pytest.approx(wanted, rel=1e-6, abs=1e-12)


def test_no_config_names_what_follows_train_cfg():
    """A top-level max_epochs would do nothing, an end or T_max would not follow train_cfg."""
    for path in (ROOT / 'configs').rglob('*.py'):
        cfg = Config.fromfile(str(path)) if path in CONFIGS else {}
        assert 'max_epochs' not in cfg, path
        assert not [s for s in cfg.get('param_scheduler', []) if 'T_max' in s or s.get('end', 0) > 8000], path


def test_aro_counts_as_published():
    """Without relations that are called symmetric, without rare pairs of attributes; a switch counts all."""
    (metric,) = load_config('vilem/vilem_aro').test_evaluator.metrics
    assert metric.means == 'macro' and len(set(metric.exclude)) == len(metric.exclude) == 157
    assert {'near', 'next to', 'beside'} < set(metric.exclude)
    assert not {'on', 'in', 'behind', 'to the left of', 'riding', 'wearing'} & set(metric.exclude)
    options = read_cfg_options(['test_evaluator.metrics.0.exclude=[]'])
    (metric,) = load_config('vilem/vilem_aro', options).test_evaluator.metrics
    assert METRICS.build(metric).exclude == []
    (metric,) = load_config('vilem/vilem_aro_attribution').test_evaluator.metrics
    assert (metric.means, metric.min_samples) == ('macro', 25)
    for name in ('coco', 'flickr30k'):
        (metric,) = load_config(f'vilem/vilem_aro_{name}_order').test_evaluator.metrics
        assert metric.num_captions is None


def test_a_run_within_its_warm_up_is_refused(tiny_config, tmp_path, capsys):
    options = ['param_scheduler.1.begin=16', 'train_cfg.max_epochs=2']
    assert main(['train', str(tiny_config), '--work-dir', str(tmp_path), '--cfg-options', *options]) == 2
    err = capsys.readouterr().err
    assert 'the run has 16 iterations, and param_scheduler.1 (PolyLR) begins after 16' in err
    assert 'param_scheduler.0.end=1 param_scheduler.1.begin=1' in err and 'Traceback' not in err


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
