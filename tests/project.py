"""What tests share: where the project lies, how its tools are run and stopped, the names of DGM⁴'s metrics."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
DGM4_METRICS = [
    *('AUC', 'EER', 'ACC', 'mAP', 'CF1', 'OF1', 'IoUmean', 'IoU50', 'IoU75', 'IoUmean_boxed'),
    *('Precision', 'Recall', 'F1'),
]


def environment(**more) -> dict:
    return {**os.environ, 'PYTHONPATH': str(ROOT), 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1', **more}


def hear_interrupts() -> None:
    """For ``preexec_fn``: hear Ctrl-C, to which a job that was started in the background is deaf."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_tool(*args, cwd=ROOT, env=None, check=True, timeout=600) -> subprocess.CompletedProcess:
    """Run a Python script of the project as a user would; output is captured."""
    env = environment(**(env or {}))
    command = [str(a) for a in args]
    if command[0].endswith('.py') or command[0] == '-m':
        command.insert(0, sys.executable)
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    if check and result.returncode:
        raise AssertionError(
            f'{command} ended with {result.returncode}:\n{result.stdout[-12000:]}\n{result.stderr[-12000:]}'
        )
    return result


def kill_after_first_epoch(config: Path, work_dir: Path) -> None:
    """Start a run of two epochs and kill it as soon as the first is saved."""
    command = [sys.executable, 'tools/train.py', str(config), '--work-dir', str(work_dir)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.time() + 300
    while not (work_dir / 'last_checkpoint').exists():
        assert process.poll() is None, 'ended before it could be killed'
        assert time.time() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (work_dir / 'epoch_2.pth').exists()


def weights(work_dir: Path, epoch: int) -> dict:
    """What a run saved after an epoch."""
    return torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=False)['state_dict']


def free_port() -> str:
    """A port that several processes can meet at."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return str(s.getsockname()[1])


def inside(row: dict) -> list[float]:
    """The part of a written row's box inside its picture, as people see it."""
    (x1, y1, x2, y2), (width, height) = row['box'], row['size']
    return [max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)]
