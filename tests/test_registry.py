"""The child registries: complete, and filled without any import by the user."""

import subprocess
import sys
from pathlib import Path

import mmengine.registry as root
import pytest
from mmengine.registry import Registry

import mmvlforge.registry as ours

KINDS = sorted(name for name, value in vars(root).items() if isinstance(value, Registry))


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_has_a_child(kind):
    parent = getattr(root, kind)
    child = parent.children['mmvlforge']
    assert child.scope == 'mmvlforge' and child.parent is parent and child.name == parent.name


def test_kinds_are_found():
    assert {'MODELS', 'DATASETS', 'TRANSFORMS', 'METRICS', 'HOOKS', 'OPTIM_WRAPPERS', 'VISUALIZERS'} <= set(KINDS)
    assert len(KINDS) >= 20


def test_exported_registries_are_the_children():
    for kind in ours.__all__:
        assert getattr(ours, kind) is getattr(root, kind).children['mmvlforge']


BARE_NAMES = """
import sys
from mmengine.registry import HOOKS, MODELS, TRANSFORMS, METRICS, OPTIM_WRAPPERS, VISUALIZERS, DATASETS
from mmengine.registry import init_default_scope
assert not any(name.startswith('mmvlforge') for name in sys.modules)
init_default_scope('mmvlforge')
head = MODELS.build(dict(type='BinaryHead', in_dims=4))
hook = HOOKS.build(dict(type='EpochSeedHook'))
transform = TRANSFORMS.build(dict(type='LoadImage'))
resize = TRANSFORMS.build(dict(type='Resize', scale=(4, 4)))
metric = METRICS.build(dict(type='BinaryMetric'))
for part in (head, hook, transform, metric):
    assert type(part).__module__.startswith('mmvlforge.'), type(part)
assert type(resize).__module__.startswith('mmcv.'), type(resize)
for registry, name in ((OPTIM_WRAPPERS, 'AutocastOptimWrapper'), (VISUALIZERS, 'ManipulationVisualizer'),
                       (DATASETS, 'DGM4Dataset'), (OPTIM_WRAPPERS, 'OptimWrapper'), (HOOKS, 'CheckpointHook')):
    with registry.switch_scope_and_registry(None) as scoped:
        assert scoped.get(name) is not None, name
print('built')
"""


def test_bare_names_build_in_a_fresh_process_without_imports():
    result = subprocess.run(
        [sys.executable, '-c', BARE_NAMES], capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().endswith('built')
    assert 'Failed to search registry' not in result.stdout + result.stderr


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match='NoSuchHead'):
        ours.MODELS.build(dict(type='NoSuchHead'))
