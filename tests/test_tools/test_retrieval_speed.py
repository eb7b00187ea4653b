"""The retrieval benchmark runs at tiny size, and its textbook ranking is one."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from mmvlforge.evaluation.retrieval import retrieval_ranks

TOOL = Path(__file__).parents[2] / 'tools' / 'benchmark' / 'retrieval_speed.py'
TINY = '--num-images 7 --num-captions 30 --top-k 5 --embed-dims 16 --layers 2 --heads 2 --image-size 32 --batch-size 2'
TINY = [*TINY.split(), '--batches', '2', '--device', 'cpu']


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('retrieval_speed', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_report(tool, capsys, monkeypatch):
    seconds = iter([2.0, 1.0, 0.5, 3.0])  # picture, caption, its first half, pair
    monkeypatch.setattr(tool, 'seconds_an_item', lambda args, forward: forward() is not None and next(seconds))
    assert tool.main(TINY) == 0
    out = capsys.readouterr().out
    # 7 pictures with 5 captions each, 30 captions with 5 pictures each.
    assert 'joint encoder   584.0 s with 185 pairs' in out  # 7 * 2 + 30 / 2 + 185 * 3, and the ranking
    assert 'dual encoder    44.0 s for 37 queries' in out  # 7 * 2 + 30 * 1
    assert re.search(r'ratio +13\.3 \(the paper: 64\)', out)
    assert 'ranks           0 of 37 differ' in out


@pytest.mark.parametrize('amp', [[], ['--amp']])
def test_parts_are_timed(tool, amp):
    spent = tool.measure_encoders(tool.parse_args(TINY + amp))
    assert sorted(spent) == ['image', 'pair', 'text', 'text_half']
    assert min(spent.values()) > 0


def test_textbook_ranks(tool):
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(6, 9)), rng.normal(size=(20, 9)), rng.permutation(np.arange(20) % 6)
    (image_ranks, text_ranks), *_ = tool.sort_every_row(*arrays)
    ours = retrieval_ranks(*arrays)
    assert np.array_equal(image_ranks, ours[0]) and np.array_equal(text_ranks, ours[1])


@pytest.mark.parametrize(
    'wrong', [['--top-k', '0'], ['--layers', '3'], ['--heads', '5'], ['--image-size', '30'], ['--num-captions', '6']]
)
def test_wrong_arguments(tool, wrong):
    with pytest.raises(SystemExit) as stopped:
        tool.main([*TINY, *wrong])
    assert stopped.value.code == 2
