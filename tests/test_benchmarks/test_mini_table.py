"""The table of several configs and seeds."""

import json

import mini_table
from project import run_tool


def test_table_shows_mean_and_sample_deviation():
    results = {'full': [dict(AUC=90.0), dict(AUC=92.0), dict(AUC=94.0)], 'text': [dict(F1=1.0)]}
    lines = mini_table.table(results, ['AUC', 'F1']).splitlines()
    assert lines[0] == '| config | AUC | F1 |'
    assert lines[2] == '| full | 92.0 ± 2.0 | - |'
    assert lines[3] == '| text | - | 1.0 |'


def test_runs_are_trained_tested_and_kept(tiny_config, tmp_path):
    command = ['tools/benchmark/mini_table.py', tiny_config, '--seeds', 0, 1, '--jobs', 2, '--out', tmp_path]
    command += ['--metrics', 'AUC', '--cfg-options', 'train_cfg.max_epochs=1']
    first = run_tool(*command)
    assert first.stdout.count('done') == 2
    assert '±' in (tmp_path / 'table.md').read_text()
    second = run_tool(*command)
    assert 'done' not in second.stdout
    assert '| tiny |' in second.stdout


def test_rows_are_kept_in_a_file_and_belong_to_their_settings(tiny_config, tmp_path):
    rows = tmp_path / 'deep/rows.json'
    command = ['tools/benchmark/mini_table.py', tiny_config, '--seeds', 0, '--rows', rows, '--metrics', 'AUC']
    settings = ['--cfg-options', 'train_cfg.max_epochs=1']
    first = run_tool(*command, '--out', tmp_path / 'a', *settings)
    (row,) = json.loads(rows.read_text())['tiny'].values()
    assert row['AUC'] == round(json.loads((tmp_path / 'a/tiny/seed0/metrics.json').read_text())['AUC'], 3)
    second = run_tool(*command, '--out', tmp_path / 'b', *settings)  # another machine
    assert 'done' in first.stdout and 'done' not in second.stdout and second.stdout.endswith(first.stdout[-30:])
    third = run_tool(*command, '--out', tmp_path / 'b', '--cfg-options', 'train_cfg.max_epochs=2', check=False)
    assert third.returncode == 1 and 'the row tiny, seed 0 is of other settings' in third.stderr
    fourth = run_tool(*command[:4], '--out', tmp_path / 'a', '--cfg-options', 'train_cfg.max_epochs=2', check=False)
    assert 'seed0/metrics.json: is of other settings' in fourth.stderr


def test_unknown_config_is_named():
    result = run_tool('tools/benchmark/mini_table.py', 'configs/no.py', check=False)
    assert result.returncode == 1 and 'configs/no.py' in result.stderr
