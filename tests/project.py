"""What tests share: where the project lies, how its tools are run, the names of DGM⁴'s metrics."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DGM4_METRICS = [
    *('AUC', 'EER', 'ACC', 'mAP', 'CF1', 'OF1', 'IoUmean', 'IoU50', 'IoU75', 'IoUmean_boxed'),
    *('Precision', 'Recall', 'F1'),
]


def run_tool(*args, cwd=ROOT, env=None, check=True, timeout=600) -> subprocess.CompletedProcess:
    """Run a Python script of the project as a user would; output is captured."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1', **(env or {})}
    command = [str(a) for a in args]
    if command[0].endswith('.py'):
        command.insert(0, sys.executable)
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    if check and result.returncode:
        raise AssertionError(
            f'{command} ended with {result.returncode}:\n{result.stdout[-12000:]}\n{result.stderr[-12000:]}'
        )
    return result
