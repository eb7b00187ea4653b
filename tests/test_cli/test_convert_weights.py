"""``mmvlforge weights``: what the commands pass on and print; the conversions themselves have tests of their own."""

import pytest

from mmvlforge.cli import main
from mmvlforge.config_files import find_config
from mmvlforge.models.weights import published


@pytest.fixture
def calls(monkeypatch):
    found = []

    def convert(*args):
        found.append(args)
        return ['3 tensors converted', 'written: out.pth']

    monkeypatch.setattr(published, 'convert_meter', convert)
    monkeypatch.setattr(published, 'convert_albef', convert)
    return found


def test_meter(calls, capsys, tmp_path, monkeypatch):
    assert main(['weights', 'convert-meter', 'meter.ckpt', 'out.pth']) == 0
    assert capsys.readouterr().out == '3 tensors converted\nwritten: out.pth\n'
    monkeypatch.chdir(tmp_path)  # the config is found from anywhere
    options = ['--config', 'dgm4/dca_imq_mini', '--no-cross', '--unsafe-load']
    assert main(['weights', 'convert-meter', 'meter.ckpt', 'out.pth', *options]) == 0
    assert calls == [
        ('meter.ckpt', 'out.pth', find_config('dgm4/dca_imq'), True, False),
        ('meter.ckpt', 'out.pth', find_config('dgm4/dca_imq_mini'), False, True),
    ]


def test_albef(calls, capsys):
    assert main(['weights', 'convert-albef', 'ALBEF.pth', 'out.pth', '--config', 'vilem/vilem_coco_ft']) == 0
    assert calls == [('ALBEF.pth', 'out.pth', find_config('vilem/vilem_coco_ft'), False)]
    assert main(['weights', 'convert-albef', 'ALBEF.pth', 'out.pth']) == 2
    assert '--config' in capsys.readouterr().err


@pytest.mark.parametrize('command', ['convert-meter', 'convert-albef'])
def test_mistakes_are_one_line(command, capsys, tmp_path):
    args = ['weights', command, str(tmp_path / 'none.pth'), str(tmp_path / 'out.pth'), '--config']
    assert main([*args, 'dgm4/dca_imq']) == 2
    assert capsys.readouterr().err == f'error: {tmp_path / "none.pth"}: no such file\n'
    assert main([*args, 'dgm4/dca_imk']) == 2
    assert "config 'dgm4/dca_imk' does not exist; did you mean dgm4/dca_imq" in capsys.readouterr().err
