"""The speed benchmarks run and say what they measured."""

import re
import time
from pathlib import Path

import data_speed
import numpy as np
import pytest
import text_edition_speed
import torch
import train_speed
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn
from transformers import BertForMaskedLM

from mmvlforge.models import TextCorruptor

ROOT = Path(__file__).parents[2]
MINI = str(ROOT / 'configs' / 'dgm4' / 'dca_imq_mini.py')


@pytest.fixture
def threads():
    """Leave the number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def number(pattern, text):
    return float(re.search(pattern, text).group(1))


@pytest.mark.parametrize('amp', [False, True])
def test_train_speed(capsys, amp):
    arguments = [MINI, '--synthetic', '--batch-size', '2', '--steps', '2', '--warmup', '1', '--device', 'cpu']
    assert train_speed.main(arguments + ['--amp'] * amp) == 0
    out = capsys.readouterr().out
    assert 'data            synthetic batches\n' in out
    assert f'threads: {"bfloat16 autocast" if amp else "float32"}\n' in out
    step = number(r'samples/s, ([\d.]+) ms a step', out)
    phases = [number(rf'{name} +([\d.]+) ms', out) for name in ('data', 'forward', 'backward', 'optimiser')]
    assert sum(phases) == pytest.approx(step, abs=0.3)
    assert number(r'speed +([\d.]+) samples/s', out) == pytest.approx(2000 / step, rel=0.02)
    assert number(r'work +([\d.]+) GFLOP', out) > 0.5
    assert 0 < number(r'reaches (\d+) %', out) < 100
    assert number(r'peak memory +([\d.]+) GiB', out) > 0.1


def test_train_speed_says_why_it_takes_synthetic_batches(capsys, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = '{MINI}'\ntrain_dataloader = dict(dataset=dict(data_root='{tmp_path}/none/'))\n")
    assert train_speed.main([str(config), '--batch-size', '2', '--steps', '1', '--warmup', '0', '--device', 'cpu']) == 0
    assert re.search(r'synthetic batches, because of: .*none/metadata/train.json', capsys.readouterr().out)


def test_synthetic_batches():
    batches = train_speed.synthetic_batches(64, 32, 22, 1000, pin=False)
    first, *_, fifth = [next(batches) for _ in range(5)]
    assert all(torch.equal(a, b) for a, b in zip(first['inputs']['input_ids'], fifth['inputs']['input_ids']))
    lengths = torch.tensor([float(len(ids)) for ids in first['inputs']['input_ids']])
    assert abs(lengths.mean() - 22) < 3 and lengths.std() > 4
    assert first['inputs']['image'][0].shape == (3, 32, 32) and first['inputs']['image'][0].dtype == torch.uint8
    for ids, mask, labels in zip(
        first['inputs']['input_ids'], first['inputs']['word_mask'], first['targets']['tokens']
    ):
        assert ids.shape == mask.shape == labels.shape
        assert ((labels == -100) == ~mask).all() and not mask[0] and not mask[-1]
        assert ids.max() < 1000
    for image_type, box, has_box in zip(*(first['targets'][k] for k in ('image_type', 'box', 'has_box'))):
        assert (image_type > 0) == has_box == (box.sum() > 0)
    assert 'image' not in next(train_speed.synthetic_batches(2, None, 22, 1000, pin=False))['inputs']


class TwoProducts(nn.Module):
    """Two matrix products of known cost, behind the interface of a detector."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 2)

    def data_preprocessor(self, data, training):
        return dict(x=data)

    def forward(self, x, mode):
        return dict(loss=self.second(self.first(x)).sum())

    def parse_losses(self, losses):
        return losses['loss'], {}


def test_flops_are_counted_forward_and_backward():
    init_default_scope('mmvlforge')
    model = TwoProducts()
    optim_wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)))
    # 3 rows. Forward 2*3*(4*8 + 8*2); backward the same for the weights, and for the second's input.
    assert train_speed.count_flops(model, optim_wrapper, iter([torch.ones(3, 4)])) == 96 * 3 + 96 * 3 + 32 * 3
    assert model.first.weight.grad is None


def test_a_step_trains_and_accumulates():
    init_default_scope('mmvlforge')
    model = TwoProducts()
    cfg = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1), accumulative_counts=2)
    optim_wrapper = build_optim_wrapper(model, cfg)
    before = model.first.weight.clone()
    clock = train_speed.Clock('cpu')
    for moved in (False, True):
        spent = train_speed.train_step(model, optim_wrapper, iter([torch.ones(3, 4)]), clock)
        assert len(spent) == 4 and min(spent) >= 0
        assert torch.equal(model.first.weight, before) != moved


def test_clock_and_matrix_rate():
    clock = train_speed.Clock('cpu')
    marks = [clock.mark()]
    time.sleep(0.02)
    marks.append(clock.mark())
    assert clock.between(marks)[0] >= 0.02
    assert train_speed.matrix_rate('cpu', torch.float32, seconds=0.1) > 1e8


@pytest.mark.parametrize(
    'wrong',
    [
        ['none.py'],
        [MINI, '--steps', '0'],
        [MINI, '--warmup', '-1'],
        [MINI, '--batch-size', '0'],
        [MINI, '--device', 'x'],
    ],
)
def test_train_speed_refuses_wrong_arguments(wrong):
    with pytest.raises(SystemExit) as stopped:
        train_speed.main(wrong)
    assert stopped.value.code == 2


def test_data_speed(capsys, monkeypatch, threads):
    monkeypatch.setattr(data_speed, 'SIZES', ((200, 160), (700, 600)))
    assert data_speed.main([MINI, '--synthetic', '--num', '8', '--workers', '1']) == 0
    out = capsys.readouterr().out
    assert 'synthetic data, 8 samples' in out
    names = ('record', 'WordTokenizer', 'LoadImage', 'RandomFlip', 'Resize', 'PackManipulationInputs')
    steps = [number(rf'  {name} +([\d.]+) ms', out) for name in names]
    assert sum(steps) == pytest.approx(number(r'  all +([\d.]+) ms', out), abs=0.01)
    assert number(r'loader with 1 workers: (\d+) samples/s', out) > 0
    for size in ('200x160', '700x600'):
        for decoder in ('LoadImage', 'Pillow draft', 'OpenCV'):
            assert number(rf'decoding {size}(?:.*\n)+?  {decoder} +([\d.]+) ms', out) > 0


def test_data_speed_without_data(capsys, tmp_path, threads):
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = '{MINI}'\ntrain_dataloader = dict(dataset=dict(data_root='{tmp_path}/none/'))\n")
    assert data_speed.main([str(config)]) == 2
    error = capsys.readouterr().err
    assert 'none/metadata/train.json' in error and '--synthetic' in error


def test_decoders_see_the_same_picture(tmp_path):
    """What is compared in speed is the same work: the same pixels, at the same size."""
    path = str(tmp_path / 'a.jpg')
    data_speed.write_jpeg(Path(path), (400, 300), np.random.default_rng(0))
    ours = data_speed.load_image(path, (256, 256)).astype(int)
    assert abs(ours - data_speed.opencv(path, (256, 256))).max() <= 1
    assert abs(ours - data_speed.pillow_draft(path, (256, 256))[..., ::-1]).max() <= 1


def test_text_edition_speed(capsys):
    """Each way runs."""
    arguments = ['--batch-size', '6', '--layers', '1', '--dims', '64', '--vocabulary', '200', '--rounds', '1']
    assert text_edition_speed.main([*arguments, '--device', 'cpu']) == 0
    out = capsys.readouterr().out
    assert '6 captions, ' in out and number(r'in batches +[\d.]+ +([\d.]+)', out) == 1
    assert number(r'jointly +[\d.]+ +([\d.]+)', out) > 0
    assert number(r'in passes +[\d.]+ +([\d.]+)', out) > 0 and number(r'one by one +[\d.]+ +([\d.]+)', out) > 0


def test_text_edition_ways_agree(tmp_path):
    sizes = ['--batch-size', '6', '--layers', '1', '--dims', '64', '--vocabulary', '200']
    args = text_edition_speed.parse_args([*sizes, '--device', 'cpu'])
    torch.manual_seed(0)
    text_edition_speed.write_language_model(tmp_path, args)
    inputs = text_edition_speed.make_captions(args)
    corruptor = TextCorruptor(str(tmp_path), rate=0.4, top_k=1, joint=False)
    chosen = corruptor.choose(inputs)
    model = BertForMaskedLM.from_pretrained(tmp_path).eval()
    edited = corruptor.edit(inputs, chosen).input_ids
    assert (chosen.sum(1) > 1).any()
    # Random weights predict neither the original nor a special token here, which only the corruptor leaves out.
    assert torch.equal(edited, text_edition_speed.edit_in_passes(model, inputs, chosen, 1))
    assert torch.equal(edited, text_edition_speed.edit_one_by_one(model, inputs, chosen, 1))


VILEM = str(ROOT / 'configs' / 'vilem' / 'vilem_mini.py')


def test_train_speed_splits_the_step_of_vilem(capsys):
    arguments = ['--synthetic', '--random-lm', '--batch-size', '2', '--steps', '2', '--warmup', '1', '--device', 'cpu']
    assert train_speed.main([VILEM, *arguments]) == 0
    out = capsys.readouterr().out
    names = ('edition', 'momentum', 'contrastive', 'local', 'global')
    parts = {name: number(rf'    {name} +([\d.]+) ms', out) for name in names}
    step = number(r'samples/s, ([\d.]+) ms a step', out)
    assert min(parts.values()) > 0
    alone = number(r'contrastive +([\d.]+) ms for that step alone', out)
    aside = sum(number(rf'{name} +([\d.]+) ms', out) for name in ('data', 'optimiser'))
    assert alone == pytest.approx(aside + parts['momentum'] + parts['contrastive'], abs=0.3)
    assert number(r'the whole one costs ([\d.]+) x', out) == pytest.approx(step / alone, abs=0.02)


def test_synthetic_pairs():
    batch = next(train_speed.synthetic_batches(8, 32, 13, 100, pin=False, pairs=True))
    assert list(batch['targets']) == ['image_ids'] and len(set(map(int, batch['targets']['image_ids']))) == 8
