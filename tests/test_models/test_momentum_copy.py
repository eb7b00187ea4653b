"""Momentum encoders: each parameter and buffer, by name."""

import torch
from torch import nn

from mmvlforge.models.momentum_copy import MomentumCopy


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        # Layers whose numbers are part of one another's names.
        self.second = nn.ModuleList(nn.Linear(2, 2, bias=k % 2 == 0) for k in range(12))
        self.other = nn.Linear(2, 2)


def randomise(module, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
        else:
            tensor.fill_(seed + len(name))


def test_every_parameter_and_buffer_follows():
    model = Model()
    copy = MomentumCopy(model, ('first', 'second'), 0.9)
    randomise(copy, 1)
    expected = {name: value.clone() for name, value in copy.state_dict().items()}
    for step in range(3):
        randomise(model, 10 + step)
        theirs = model.state_dict()
        for name, value in expected.items():
            source = theirs[name]
            expected[name] = 0.9 * value + (1 - 0.9) * source if value.is_floating_point() else source.clone()
        copy.follow(model)
    actual = copy.state_dict()
    assert set(actual) == {name for name in model.state_dict() if not name.startswith('other')}
    assert len(actual) == 2 + 5 + 18
    for name, value in actual.items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-6, msg=name)


def test_copies_begin_equal_share_nothing_and_have_no_gradient():
    model = Model()
    copy = MomentumCopy(model, ('first', 'second'), 0.9)
    before = model.state_dict()
    for name, value in copy.state_dict().items():
        assert torch.equal(value, before[name]) and value.data_ptr() != before[name].data_ptr()
    assert not any(p.requires_grad for p in copy.parameters()) and all(p.requires_grad for p in model.parameters())
    randomise(model, 3)
    copy.restart(model)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in copy.state_dict().items())


def test_copies_stay_in_evaluation_mode():
    copy = MomentumCopy(Model(), ('first', 'second'), 0.9)
    nn.Sequential(copy).train()
    assert not any(module.training for module in copy.modules())
