"""The wheel is enough: built from a source archive, installed in an empty environment, used outside the repository."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from project import ROOT

LEFT_OUT = ('.*', 'data', 'work_dirs', 'checkpoints', 'build', 'dist', '*.egg-info', '__pycache__')
MY_CONFIG = """
_base_ = 'mmvlforge::dgm4/dca_imq_mini.py'
train_dataloader = dict(batch_size=8)
train_cfg = dict(max_epochs=1)
model = dict(text_encoder=dict(config=dict(num_hidden_layers=1)))
"""


def run(*command, cwd, timeout=300) -> str:
    """Run a command as a user would who knows nothing of the repository; what it printed."""
    environment = {key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    environment |= dict(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1')
    ended = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert not ended.returncode, f'{command} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}'
    return ended.stdout


@pytest.fixture(scope='session')
def wheel(tmp_path_factory) -> Path:
    """The wheel, made of a source archive, made of a copy without what git ignores."""
    out = tmp_path_factory.mktemp('wheel')
    shutil.copytree(ROOT, out / 'source', ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    run(sys.executable, '-m', 'build', '--no-isolation', '--outdir', out, out / 'source', cwd=out)
    (path,) = out.glob('*.whl')
    return path


@pytest.fixture(scope='session')
def bin_folder(wheel, tmp_path_factory) -> Path:
    """Commands of a fresh environment with the wheel in it; all other packages are lent by this one."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / 'bin/python'
    (site,) = folder.glob('lib/python*/site-packages')
    # A path in a .pth file comes last, and the .pth files in it (an editable install's, say) are not read.
    lent = [path for path in sys.path if Path(path).name in ('site-packages', 'dist-packages')]
    (site / 'lent.pth').write_text('\n'.join(lent))
    pip = (sys.executable, '-m', 'pip', '--python', python, 'install', '--no-index', '--no-deps', '--quiet')
    run(*pip, '--disable-pip-version-check', wheel, cwd=folder)
    found = run(python, '-c', 'import mmvlforge; print(mmvlforge.__file__)', cwd=folder).strip()
    assert Path(found) == site / 'mmvlforge/__init__.py'
    return folder / 'bin'


@pytest.fixture(scope='session')
def desk(bin_folder, tmp_path_factory) -> Path:
    """A user's folder: drawn data, a config of their own, and a model trained by it."""
    folder = tmp_path_factory.mktemp('desk')
    news = ('forge', 'news', 'data/mini_dgm4', '--num', 24, '--num-val', 9, '--num-test', 9)
    run(bin_folder / 'mmvlforge', *news, cwd=folder)
    (folder / 'my.py').write_text(MY_CONFIG)
    run(bin_folder / 'mmvlforge', 'train', 'my.py', cwd=folder)
    return folder


def test_carries_all_that_is_needed_and_nothing_else(wheel):
    files = zipfile.ZipFile(wheel).namelist()
    assert {name.split('/')[0] for name in files} == {
        'mmvlforge',
        wheel.name.removesuffix('-py3-none-any.whl') + '.dist-info',
    }
    inside = {name.removeprefix('mmvlforge/') for name in files}
    sources = [ROOT / 'model-index.yml', *(p for kind in ('py', 'yml') for p in ROOT.glob(f'configs/**/*.{kind}'))]
    assert len(sources) > 80
    assert {f'.mim/{path.relative_to(ROOT)}' for path in sources} == {
        name for name in inside if name.startswith('.mim')
    }
    package = ROOT / 'mmvlforge'
    needed = [*package.rglob('*.py'), *package.glob('reports/templates/*'), package / 'py.typed']
    needed = {path.relative_to(package).as_posix() for path in needed if '.mim' not in path.parts}
    assert needed <= inside


OPTIONAL = {'c2pa', 'facenet_pytorch', 'onnx', 'onnxruntime', 'open_clip', 'pymilvus'}  # of extras, or installed apart


def test_requires_what_it_imports(wheel):
    """Every package that ours imports is a requirement, or imported only where it is used: none comes along by luck."""
    imported, at_start = set(), set()
    for path in (ROOT / 'mmvlforge').rglob('*.py'):
        module = ast.parse(path.read_text(encoding='utf-8'))
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                names = {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {node.module.split('.')[0]}
            else:
                continue
            imported |= names
            at_start |= names if node in module.body else set()
    assert not at_start & OPTIONAL
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith('METADATA'))
        text = archive.read(metadata).decode()
    required = set(re.findall(r'^Requires-Dist: ([\w-]+)[^;\n]*$', text, re.MULTILINE))
    assert 'torch' in required and 'pytest' not in required
    homes = packages_distributions()
    for module in sorted(imported - sys.stdlib_module_names - {'mmvlforge'} - OPTIONAL):
        assert required & {home.lower() for home in homes[module]}, (
            f'{module} is imported, pyproject.toml does not require it'
        )


def test_says_its_version(bin_folder, wheel, tmp_path):
    assert run(bin_folder / 'mmvlforge', '--version', cwd=tmp_path).split()[1] == wheel.name.split('-')[1]


def test_configs_are_found_by_name(bin_folder, tmp_path):
    code = """
import mmvlforge
from mmengine.hub import get_config
for name in ('dgm4/dca_imq.py', 'dgm4/dca_imq_bf16.py', 'vilem/vilem_winoground.py'):  # the last two are in no metafile
    cfg = get_config(f'mmvlforge::{name}')
    print(cfg.filename, cfg.model.type, cfg.default_scope)
"""
    lines = run(bin_folder / 'python', '-c', code, cwd=tmp_path).splitlines()
    site = str(bin_folder.parent)
    assert all(line.startswith(site) and '/.mim/configs/' in line and line.endswith('mmvlforge') for line in lines)
    assert [line.split()[1] for line in lines] == ['ManipulationDetector', 'ManipulationDetector', 'ViLEM']


def test_tests_and_reports_a_users_own_config(bin_folder, desk):
    checkpoint = 'work_dirs/my/epoch_1.pth'
    outputs = ('--out', 'metrics.json', '--predictions', 'predictions.jsonl')
    run(bin_folder / 'mmvlforge', 'test', 'my.py', checkpoint, *outputs, cwd=desk)
    assert 0 <= json.loads((desk / 'metrics.json').read_text())['AUC'] <= 100
    assert len((desk / 'predictions.jsonl').read_text().splitlines()) == 9
    truth = 'data/mini_dgm4/metadata/test.json'
    pictures = ('--image-root', 'data/mini_dgm4', '--num', 2)
    command = ('report', 'manipulation', truth, 'predictions.jsonl', '--out', 'report.html', *pictures)
    run(bin_folder / 'mmvlforge', *command, cwd=desk)
    page = (desk / 'report.html').read_text(encoding='utf-8')
    assert page.rstrip().endswith('</html>') and page.count('data:image/') >= 2


def test_checks_a_picture(bin_folder, desk):
    record = json.loads((desk / 'data/mini_dgm4/metadata/test.json').read_text())[0]
    pair = (f'data/mini_dgm4/{record["image"]}', record['text'])
    command = ('check', *pair, '--model', 'my.py', 'work_dirs/my/epoch_1.pth', '--json')
    answer = json.loads(run(bin_folder / 'mmvlforge', *command, cwd=desk))
    assert answer['schema'] == 'mmvlforge.check/1'
    assert answer['caption'] == record['text'] and 0 <= answer['fake_score'] <= 1


def test_import_is_light(bin_folder, tmp_path):
    code = """
import sys
import mmvlforge
assert set(dir(mmvlforge)) >= {'ManipulationInferencer', 'ProofreadInferencer', 'RetrievalInferencer'}
import mmvlforge.cli
print([name for name in ('torch', 'mmcv', 'transformers', 'matplotlib', 'cv2') if name in sys.modules])
"""
    assert run(bin_folder / 'python', '-c', code, cwd=tmp_path) == '[]\n'
