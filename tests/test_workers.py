"""Work spread over processes."""

import os
import signal

import pytest

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
