"""The benchmark of the image encoder runs at tiny size, and its ways give the same."""

import encoder_speed
import pytest
import torch


def test_report(capsys, monkeypatch):
    times = {'plain': 30.0, 'channels-last': 20.0, 'frozen': 10.0, 'frozen, bfloat16': 5.0}
    monkeypatch.setattr(encoder_speed, 'measure', lambda args: {1: times, 4: dict(times, plain=40.0, frozen=8.0)})
    assert encoder_speed.main([]) == 0
    out = capsys.readouterr().out
    assert '8.0 (5.0x)' in out and '10.0 (3.0x)' in out
    assert '8.0 (3.8x)' in out  # the best of both, 30 to 8


def test_every_way_is_timed():
    found = encoder_speed.measure(
        encoder_speed.parse_args(['--batch-sizes', '1', '2', '--image-size', '32', '--rounds', '1'])
    )
    assert list(found) == [1, 2] and min(found[2].values()) > 0


def test_the_layout_does_not_change_what_is_found():
    known = encoder_speed.ways('tf_efficientnet_lite0')
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(known['plain'](images), known['channels-last'](images), atol=1e-4)
    with pytest.raises(SystemExit):
        encoder_speed.parse_args(['--image-size', '50'])
