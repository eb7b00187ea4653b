"""One writer a folder: who is kept out, what is said, and that no death of the holder keeps anybody out."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import time

import pytest
from project import environment

from mmvlforge.folder_lock import LOCK_FILE, folder_lock

HOLD = """
import os, sys, time
from mmvlforge.folder_lock import folder_lock
with folder_lock(sys.argv[1], 'a test'):
    if not os.fork():  # like a loader's worker, which outlives a killed training for some seconds
        print('held', flush=True)
    sys.stdout.close()
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, tmp_path / 'new/folder'],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    assert process.stdout.readline() == 'held\n'
    yield process
    os.killpg(process.pid, 9)
    process.wait()


def test_who_holds_a_folder_is_said_and_a_kill_lets_go(holder, tmp_path):
    folder = tmp_path / 'new/folder'
    with pytest.raises(ValueError) as refused, folder_lock(folder, 'another'):
        pass
    told = f'{folder} is in use: a test, process {holder.pid} on {socket.gethostname()}, since {time.strftime("%Y-")}'
    assert str(refused.value).startswith(told)
    assert str(refused.value).endswith('. Wait for it to end, or choose another folder')
    holder.kill()
    holder.wait()
    assert (folder / LOCK_FILE).exists()
    with folder_lock(folder, 'another'):
        pass
    assert not any(folder.iterdir())


def test_it_lets_go_at_an_error_and_holds_within_one_process_too(tmp_path):
    with pytest.raises(KeyboardInterrupt), folder_lock(tmp_path, 'the first'):
        with pytest.raises(ValueError, match=f'the first, process {os.getpid()}'), folder_lock(tmp_path, 'the second'):
            pass
        raise KeyboardInterrupt
    with folder_lock(tmp_path, 'the second'):
        pass
    assert not any(tmp_path.iterdir())


def test_a_file_that_its_holder_deleted_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """Else two would hold the folder: one the old file, one that of the same name."""
    real, calls = fcntl.flock, []

    def flock(file, how):
        if not calls:
            (tmp_path / LOCK_FILE).unlink()
        calls.append(file)
        real(file, how)

    monkeypatch.setattr(fcntl, 'flock', flock)
    with folder_lock(tmp_path, 'the first'):
        assert len(calls) == 2
        with pytest.raises(ValueError, match='in use: the first'), folder_lock(tmp_path, 'the second'):
            pass


def test_a_holder_that_has_not_yet_said_who_it_is(tmp_path):
    with open(tmp_path / LOCK_FILE, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match='another process has just begun'), folder_lock(tmp_path, 'the second'):
            pass


@pytest.mark.parametrize('code', [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, code):
    def flock(file, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, 'flock', flock)
    told = f'{tmp_path} cannot be locked .*{os.strerror(code)}'
    with pytest.warns(UserWarning, match=told), folder_lock(tmp_path, 'the first'):
        pass
    assert not any(tmp_path.iterdir())


def test_a_folder_that_nobody_can_write_to_needs_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda path, mode: False)  # the tests may run as root
    with folder_lock(tmp_path, 'the first'):
        assert not any(tmp_path.iterdir())
