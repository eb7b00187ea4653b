"""The retrieval benchmark runs at tiny size, and its textbook ranking is one."""

import re

import numpy as np
import pytest
import retrieval_speed

from mmvlforge.evaluation.retrieval import retrieval_ranks

TINY = '--num-images 7 --num-captions 30 --top-k 5 --embed-dims 16 --layers 2 --heads 2 --image-size 32 --batch-size 2'
TINY = [*TINY.split(), '--batches', '2', '--device', 'cpu']


def test_report(capsys, monkeypatch):
    seconds = iter([2.0, 1.0, 0.5, 3.0])  # picture, caption, its first half, pair
    monkeypatch.setattr(
        retrieval_speed, 'seconds_an_item', lambda args, forward: forward() is not None and next(seconds)
    )
    assert retrieval_speed.main(TINY) == 0
    out = capsys.readouterr().out
    # 7 pictures with 5 captions each, 30 captions with 5 pictures each.
    assert 'joint encoder   584.0 s with 185 pairs' in out  # 7 * 2 + 30 / 2 + 185 * 3, and the ranking
    assert 'dual encoder    44.0 s for 37 queries' in out  # 7 * 2 + 30 * 1
    assert re.search(r'ratio +13\.3 \(the paper: 64\)', out)
    assert 'ranks           0 of 37 differ' in out


@pytest.mark.parametrize('amp', [[], ['--amp']])
def test_parts_are_timed(amp):
    spent = retrieval_speed.measure_encoders(retrieval_speed.parse_args(TINY + amp))
    assert sorted(spent) == ['image', 'pair', 'text', 'text_half']
    assert min(spent.values()) > 0


def test_textbook_ranks():
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(6, 9)), rng.normal(size=(20, 9)), rng.permutation(np.arange(20) % 6)
    (image_ranks, text_ranks), *_ = retrieval_speed.sort_every_row(*arrays)
    ours = retrieval_ranks(*arrays)
    assert np.array_equal(image_ranks, ours[0]) and np.array_equal(text_ranks, ours[1])


@pytest.mark.parametrize(
    'wrong', [['--top-k', '0'], ['--layers', '3'], ['--heads', '5'], ['--image-size', '30'], ['--num-captions', '6']]
)
def test_wrong_arguments(wrong):
    with pytest.raises(SystemExit) as stopped:
        retrieval_speed.main([*TINY, *wrong])
    assert stopped.value.code == 2
