"""Weight decay acts on weights alone, with the rates that a config asks for."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from project import free_port, run_tool
from torch import nn

from mmvlforge.config_files import load_config
from mmvlforge.registry import MODELS

CONFIGS = ['dgm4/dca_imq', 'dgm4/dca_imq_bf16', 'dgm4/dca_imq_encoder_lr', 'dgm4/dca_imq_mini']
CONFIGS += ['vilem/vilem_base_cc4m', 'vilem/vilem_coco_ft', 'vilem/vilem_mini']


@pytest.mark.parametrize('config', CONFIGS)
def test_biases_norms_and_the_temperature_are_spared_in_the_real_schedules(config):
    cfg = load_config(config)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    group_of = {id(p): group for group in groups for p in group['params']}
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(group_of) == sum(len(group['params']) for group in groups) == len(named)  # each once
    assert {group['weight_decay'] for group in groups} == {0.0, 0.02}
    decays = {name for name, p in named.items() if group_of[id(p)]['weight_decay']}
    # Told apart another way than the constructor does.
    assert decays == {name for name, p in named.items() if p.ndim >= 2}
    # Tables of vectors decay, as in ALBEF.
    tables = {'cls_token', 'pos_embed', 'modality_embed', 'query'}
    assert {name.rpartition('.')[2] for name in decays} - tables == {'weight'}
    if config.startswith('vilem'):
        assert group_of[id(named['contrastive_head.temperature'])]['weight_decay'] == 0
    elif 'mini' not in config:
        assert (len(named), len(named) - len(decays)) == (693, 427)
    rates = {}
    for name, p in named.items():
        rates.setdefault(round(group_of[id(p)]['lr'], 9), set()).add(name.partition('.')[0])
    if config == 'dgm4/dca_imq_encoder_lr':
        rest = {'neck', 'binary_head', 'type_head', 'box_head', 'token_head'}
        assert rates == {1e-5: {'image_encoder', 'text_encoder'}, 5e-5: rest}
        assert len(groups) == 4
    else:
        assert list(rates) == [cfg.optim_wrapper.optimizer.lr]
        assert len(groups) == 2


def test_only_what_decays_is_pulled_to_zero():
    """One step without a gradient: what is left of each parameter is 1 - rate x decay, or all of it."""
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Conv2d(1, 1, 2), nn.BatchNorm2d(1))
    model.scale = nn.Parameter(torch.ones(()))
    for p in model.parameters():
        p.data.fill_(1.0)
        p.grad = torch.zeros_like(p)
    settings = dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.1, weight_decay=0.5),
        constructor='mmvlforge.DecaySparingConstructor',
        paramwise_cfg=dict(custom_keys={'2.': dict(lr_mult=2, decay_mult=0.1)}),
    )
    build_optim_wrapper(model, settings).optimizer.step()
    left = {name: round(p.flatten()[0].item(), 6) for name, p in model.named_parameters()}
    assert left.pop('0.weight') == 0.95
    assert left.pop('2.weight') == 0.99
    assert set(left.values()) == {1.0} and len(left) == 7


SHARDED = """
import torch
from mmengine.optim import build_optim_wrapper
from torch.distributed.fsdp import FullyShardedDataParallel
torch.distributed.init_process_group('gloo')
model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 4, bias=False))
model = FullyShardedDataParallel(model, device_id=torch.device('cpu'), use_orig_params=True)
assert all(p.ndim == 1 for p in model.parameters())
settings = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, weight_decay=0.5),
                constructor='mmvlforge.DecaySparingConstructor')
for group in build_optim_wrapper(model, settings).optimizer.param_groups:
    names = [n for n, p in model.named_parameters() if any(p is q for q in group['params'])]
    print(group['weight_decay'], sorted(n.rpartition('module.')[2] for n in names))
torch.distributed.destroy_process_group()
"""


def test_weights_still_decay_where_fsdp_makes_them_flat(tmp_path):
    script = tmp_path / 'sharded.py'
    script.write_text(SHARDED)
    out = run_tool('-m', 'torch.distributed.run', '--nproc-per-node', 2, '--master-port', free_port(), script).stdout
    assert out.count("0.5 ['0.weight', '2.weight']") == out.count("0.0 ['0.bias', '1.bias', '1.weight']") == 2


def test_a_frozen_part_is_passed_over_in_silence(monkeypatch):
    told = []
    monkeypatch.setattr('mmengine.optim.optimizer.default_constructor.print_log', lambda line, **_: told.append(line))
    model = nn.ModuleDict(dict(frozen=nn.Sequential(nn.Linear(3, 3)).requires_grad_(False), trained=nn.Linear(3, 3)))
    model.trained.bias.requires_grad_(False)
    settings = dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.1, weight_decay=0.5),
        constructor='mmvlforge.DecaySparingConstructor',
    )
    groups = build_optim_wrapper(model, settings).optimizer.param_groups
    assert [list(group['params']) for group in groups] == [[model.trained.weight]]
    assert told == ['trained.bias is skipped since its requires_grad=False']
