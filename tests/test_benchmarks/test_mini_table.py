"""The table of several configs and seeds."""

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


def test_unknown_config_is_named():
    result = run_tool('tools/benchmark/mini_table.py', 'configs/no.py', check=False)
    assert result.returncode == 1 and 'configs/no.py' in result.stderr
