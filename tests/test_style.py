"""The package is typed: mypy has nothing to say."""

import importlib.util
import subprocess
import sys

import pytest
from project import ROOT


@pytest.mark.skipif(importlib.util.find_spec('mypy') is None, reason='mypy comes with the extra tests')
def test_types():
    ended = subprocess.run([sys.executable, '-m', 'mypy'], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert not ended.returncode, ended.stdout + ended.stderr
