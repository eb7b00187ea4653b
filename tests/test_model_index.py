"""``model-index.yml`` and the metafiles: OpenMMLab's form, files that exist, figures that the documents have too."""

import re
from pathlib import Path

import mmengine
import modelindex
import pytest
from mmengine.config.utils import _get_cfg_metainfo
from project import ROOT

import mmvlforge

METAFILES = mmengine.load(ROOT / 'model-index.yml')['Import']
MODELS = [model for path in METAFILES for model in mmengine.load(ROOT / path)['Models']]
PAGES = ''.join((ROOT / page).read_text(encoding='utf-8') for page in ('README.md', 'docs/mini_benchmark.md'))
ROWS = [set(re.findall(r'[\d.]+', line)) for line in PAGES.splitlines() if line.startswith('|')]
SAME_MODEL = re.compile(r'_(1gpu|bf16|fsdp|deepspeed)$')  # trained by other means
TESTS_ONLY = re.compile(r'_(zeroshot(_momentum)?|winoground|sugarcrepe|aro(_\w+)?|msrvtt)$')
ALIASES = {'vilem_table6_6'}  # is vilem_table5_h


def test_has_openmmlabs_form():
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    index.check(silent=True)
    assert not index.check_errors
    assert len(index.models) == len(MODELS)
    collections = {collection.name for collection in index.collections}
    assert {model['In Collection'] for model in MODELS} == collections


def test_lists_each_config_that_trains_a_model_of_its_own():
    assert sorted(METAFILES) == sorted(
        f'configs/{p.parent.name}/metafile.yml' for p in ROOT.glob('configs/*/metafile.yml')
    )
    configs = [path for path in ROOT.glob('configs/*/*.py') if path.parent.name != '_base_']
    left_out = [p for p in configs if SAME_MODEL.search(p.stem) or TESTS_ONLY.search(p.stem) or p.stem in ALIASES]
    listed = [model['Config'] for model in MODELS]
    assert sorted(listed) == sorted(str(p.relative_to(ROOT)) for p in set(configs) - set(left_out))
    assert [model['Name'] for model in MODELS] == [Path(config).stem for config in listed]


def test_mmengine_reads_it():
    package = str(Path(mmvlforge.__file__).parent)
    assert _get_cfg_metainfo(package, 'dgm4/dca_imq.py')['Name'] == 'dca_imq'


@pytest.mark.parametrize('model', [m for m in MODELS if m['Results']], ids=lambda model: model['Name'])
def test_figures_stand_in_the_documents(model):
    for result in model['Results']:
        figures = {f'{value:.1f}' for value in result['Metrics'].values()}
        if result['Dataset'] == 'mini Winoground':
            told = re.search(r'text ([\d.]+) against[^,]+,\s+image ([\d.]+) against[^,]+, group ([\d.]+)', PAGES)
            assert [float(value) for value in told.groups()] == list(result['Metrics'].values())
        else:
            assert any(figures <= row for row in ROWS), f'{model["Name"]}: {result["Metrics"]} stands in no table'


def test_no_weights_are_promised():
    assert not any('Weights' in model for model in MODELS)
