"""OpenMP's threads wait without spinning, unless the user says otherwise."""

import sys

import pytest
from project import run_tool

CODE = "from mmvlforge.cli import main; main(['--version']); import torch"


@pytest.mark.parametrize(('setting', 'expected'), [({}, 'PASSIVE'), (dict(OMP_WAIT_POLICY='ACTIVE'), 'ACTIVE')])
def test_the_setting_reaches_openmp(setting, expected, monkeypatch):
    monkeypatch.delenv('OMP_WAIT_POLICY', raising=False)  # a command that ran in this process has set it
    ended = run_tool(sys.executable, '-c', CODE, env=dict(OMP_DISPLAY_ENV='TRUE', **setting))
    if 'OPENMP DISPLAY ENVIRONMENT' not in ended.stderr:
        pytest.skip('this torch comes without an OpenMP that shows its settings')
    assert f"OMP_WAIT_POLICY = '{expected}'" in ended.stderr
