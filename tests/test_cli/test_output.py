"""How arguments with several values are read, and how mistakes are told."""

import subprocess
import sys

import pytest
from project import ROOT

from mmvlforge.cli import main
from mmvlforge.cli.output import print_table, read_cfg_options, read_settings, spell_out

OWN = {'--cfg-options', '--model', '--checkpoint', '--resume'}


def test_settings_may_follow_one_another():
    args = ['my.py', '--cfg-options', 'a=1', 'b.c=x', '--amp']
    assert spell_out(args, OWN) == ['my.py', '--cfg-options', 'a=1', '--cfg-options', 'b.c=x', '--amp']
    assert spell_out(['--cfg-options', 'a=1', 'my.py'], OWN) == ['--cfg-options', 'a=1', 'my.py']
    assert spell_out(['--', '--resume'], OWN) == ['--', '--resume']


def test_files_may_follow_one_another():
    args = ['my.py', '--metrics', 'a.json', 'b.json', '--out', 'r.html']
    told = ['my.py', '--metrics', 'a.json', '--metrics', 'b.json', '--out', 'r.html']
    assert spell_out(args, {'--metrics', '--out'}, {'--metrics'}) == told
    assert spell_out(args, {'--metrics', '--out'}, set()) == args
    assert spell_out(['--metrics', '--out', 'r'], {'--metrics', '--out'}, {'--metrics'}) == ['--metrics', '--out', 'r']


def test_resume_alone_means_the_newest_checkpoint():
    assert spell_out(['my.py', '--resume'], OWN) == ['my.py', '--resume', 'auto']
    assert spell_out(['--resume', '--amp', 'my.py'], OWN) == ['--resume', 'auto', '--amp', 'my.py']
    assert spell_out(['my.py', '--resume', 'a.pth'], OWN) == ['my.py', '--resume', 'a.pth']


def test_a_model_is_a_folder_or_a_config_with_its_checkpoint(tmp_path):
    pair = ['--model', 'my.py', '--checkpoint', 'my.pth', 'a.jpg']
    assert spell_out(['--model', 'my.py', 'my.pth', 'a.jpg'], OWN) == pair
    assert spell_out(['--model', str(tmp_path), 'a.jpg'], OWN) == ['--model', str(tmp_path), 'a.jpg']
    assert spell_out(['--model', 'my.py', '--checkpoint', 'my.pth'], OWN) == pair[:-1]
    assert spell_out(['--model=my.py', 'my.pth', 'a.jpg'], OWN) == pair
    named = ['--model', 'starter', str(tmp_path), 'words']  # a folder is no checkpoint
    assert spell_out(named, OWN) == named
    assert spell_out(['--model', 'my.py', 'my.pth'], {'--model'}) == ['--model', 'my.py', 'my.pth']


def test_settings_are_parsed_as_mmengine_does():
    assert read_cfg_options(['a.b=[1,2]', 'c=None', 'd=text', 'e=(1,x)']) == {
        'a.b': [1, 2],
        'c': None,
        'd': 'text',
        'e': (1, 'x'),
    }
    assert read_cfg_options(None) == {}
    for wrong in ('a', '=1', ' =1'):
        with pytest.raises(ValueError, match='must be key=value'):
            read_cfg_options([wrong])


def test_texts_are_taken_as_they_stand():
    """A list of photos may lie in 'my photos', a caption be made of several columns."""
    args = ['a.csv', '--reader-options', 'images=my photos/a, b.txt', 'caption={name}, born=1900', 'set']
    told = spell_out(args, {'--reader-options'}, {'--reader-options'})
    assert told[-1] == 'set' and told.count('--reader-options') == 2
    assert read_settings('--reader-options', told[2:5:2]) == {
        'images': 'my photos/a, b.txt',
        'caption': '{name}, born=1900',
    }
    assert read_settings('--reader', None) == {}
    with pytest.raises(ValueError, match="--reader 'csv' must be key=value, such as type=csv"):
        read_settings('--reader', ['csv'])


def test_tables(capsys):
    print_table(['metric', 'value'], [['AUC', 99.5], ['rank', 3], ['none', None]])
    assert capsys.readouterr().out == 'metric  value\nAUC     99.50\nrank        3\nnone        -\n'


@pytest.mark.parametrize(
    ('args', 'code', 'told'),
    [
        (['train', 'dgm4/dca_im'], 2, "error: config 'dgm4/dca_im' does not exist; did you mean dgm4/dca_imq"),
        (['train', 'dgm4/dca_imq_mini', '--cfg-options', 'x'], 2, 'error: --cfg-options'),
        (['train', 'dgm4/dca_imq_mini', '--cfg-options', 'default_scope.x=1'], 2, 'do not fit this config'),
        (['train', 'dgm4/dca_imq'], 2, "error: load_from='checkpoints/meter_dca.pth' does not exist. Make it"),
        (['train', 'dgm4/dca_imq_mini', '--resume', 'none.pth'], 2, "--resume: checkpoint 'none.pth' does not exist"),
        (['test', 'dgm4/dca_imq_mini', 'none.pth'], 2, "error: checkpoint 'none.pth' does not exist"),
        (['test', 'dgm4/dca_imq_mini', 'x.pth', '--show-worst', '3'], 2, '--show-worst needs --show-dir'),
        (['check', '-', '-', '--model', 'x'], 2, 'give a picture, a caption or both'),
        (['check', 'a.jpg', '--model', 'dgm4/dca_imq_mini', 'none.pth'], 2, "checkpoint 'none.pth' does not exist"),
        (['check', 'a.jpg', '--model', 'nowhere'], 2, "model 'nowhere': is no folder"),
        (['train', 'dgm4/dca_imq_mini', '--cfg-options', 'model.neck.foo=1'], 2, 'cannot be built: TypeError'),
        (['train', 'dgm4/dca_imq_mini', '--cfg-options', 'train_dataloader.dataset.type=Foo'], 2, 'cannot be built'),
        (['data', 'check', 'none.json', '--config', 'vilem/vilem_mini'], 2, 'has no record format'),
        (['tain'], 2, 'No such command'),
    ],
)
def test_mistakes_are_one_line(args, code, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '300')
    assert main(args) == code
    error = capsys.readouterr().err
    assert told in error and 'Traceback' not in error
    if error.startswith('error:'):
        assert error.count('\n') == 1


def test_missing_data_are_told_with_the_page_that_helps(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['train', 'dgm4/dca_imq_mini', '--work-dir', str(tmp_path)]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error:')]
    assert len(error) == 1 and 'data/mini_dgm4/metadata/' in error[0] and 'docs/data.md' in error[0]


def test_importing_the_package_and_help_need_no_torch():
    code = (
        'import sys, mmvlforge; from mmvlforge.cli import main; '
        "code = main(['--help']); assert code == 0; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True, capture_output=True)


def test_the_version(capsys):
    import mmvlforge

    assert main(['--version']) == 0
    assert capsys.readouterr().out == f'mmvlforge {mmvlforge.__version__}\n'
