"""Work spread over processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import ROOT, environment

from mmvlforge.workers import ordered_map


def where(item):
    return item, os.getpid(), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())


@pytest.mark.parametrize('method', ['spawn', 'fork'])
def test_processes_keep_the_order_and_never_hear_ctrl_c(method):
    done = []
    with ordered_map(2, done.append, method) as run:
        first, second = run(where, range(70)), run(where, [5, 3])
    assert [item for item, _, _ in first + second] == [*range(70), 5, 3]
    assert all(process != os.getpid() and deaf for _, process, deaf in first + second)
    assert done == list(range(1, 73))
    assert not where(0)[2]  # this process hears it again


def test_one_worker_is_this_process():
    done = []
    with ordered_map(1, done.append) as run:
        assert run(where, 'ab') == [('a', os.getpid(), False), ('b', os.getpid(), False)]
    assert done == [1, 2]


def linger(out):
    (out / str(os.getpid())).touch()
    time.sleep(60)


@pytest.mark.parametrize('method', ['spawn', 'fork'])
def test_processes_end_with_the_one_that_started_them(tmp_path, method):
    """Also if it is killed: work that is left in their queue would go to a folder that the next one already fills."""
    lines = (
        'from pathlib import Path',
        'from test_workers import linger, ordered_map',
        "if __name__ == '__main__':",
        f'    with ordered_map(2, method={method!r}) as run:',
        f'        run(linger, [Path({str(tmp_path)!r})] * 99)',
    )
    (tmp_path / 'main.py').write_text('\n'.join(lines))
    env = environment(PYTHONPATH=os.pathsep.join(map(str, (ROOT, ROOT / 'tests'))))
    process = subprocess.Popen([sys.executable, tmp_path / 'main.py'], env=env)
    workers = []
    deadline = time.time() + 100
    while len(workers) < 2:
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.05)
        workers = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
    process.kill()
    process.wait()
    deadline = time.time() + 20
    while any(is_alive(worker) for worker in workers):
        assert time.time() < deadline
        time.sleep(0.05)


def is_alive(pid):
    try:
        # One that ended and that nobody has asked after is still listed.
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False
