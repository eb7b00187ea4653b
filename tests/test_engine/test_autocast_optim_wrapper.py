"""bfloat16 training on a CPU."""

import copy
from contextlib import contextmanager

import torch
from torch import nn

from mmvlforge.engine import AutocastOptimWrapper
from mmvlforge.registry import OPTIM_WRAPPERS


class ToyModel(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
        self.dtype = None

    def forward(self, x, y):
        out = self.net(x)
        self.dtype = out.dtype
        return (out.float().squeeze(-1) - y).pow(2).mean()


def data(size=16):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(size, 4, generator=generator)
    return x, x.sum(dim=1)


def wrap(model, **kwargs):
    return AutocastOptimWrapper(torch.optim.Adam(model.parameters(), lr=0.02), **kwargs)


def step(model, wrapper, x, y):
    with wrapper.optim_context(model):
        loss = model(x, y)
    wrapper.update_params(loss)
    return loss.item()


def test_trains_in_bfloat16_with_float32_weights():
    model = ToyModel()
    wrapper = wrap(model)
    losses = [step(model, wrapper, *data()) for _ in range(60)]
    assert model.dtype == torch.bfloat16
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert losses[-1] < 0.1 * losses[0]
    assert model(*data()).item() >= 0 and model.dtype == torch.float32  # outside of the context nothing is cast


def test_accumulated_gradients_make_one_step_of_the_whole_batch():
    x, y = data()
    whole, parts = ToyModel(), ToyModel()
    before = [p.clone() for p in parts.parameters()]
    step(whole, AutocastOptimWrapper(torch.optim.SGD(whole.parameters(), lr=0.1)), x, y)
    wrapper = AutocastOptimWrapper(torch.optim.SGD(parts.parameters(), lr=0.1), accumulative_counts=2)
    wrapper.initialize_count_status(parts, 0, 2)
    step(parts, wrapper, x[:8], y[:8])
    assert all(torch.equal(a, b) for a, b in zip(parts.parameters(), before))  # the first half waits
    step(parts, wrapper, x[8:], y[8:])
    for a, b in zip(parts.parameters(), whole.parameters()):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0)
    assert max((a - b).abs().max().item() for a, b in zip(parts.parameters(), before)) > 0.05


def test_waiting_gradients_are_not_exchanged_between_processes():
    model, entered = ToyModel(), []

    @contextmanager
    def no_sync():  # as DistributedDataParallel has it
        entered.append(1)
        yield

    model.no_sync = no_sync
    wrapper = wrap(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    counts = []
    for _ in range(4):
        step(model, wrapper, *data())
        counts.append(len(entered))
    assert counts == [1, 1, 2, 2]


def test_state_resumes_bit_by_bit():
    uninterrupted = ToyModel()
    wrapper = wrap(uninterrupted)
    for _ in range(3):
        step(uninterrupted, wrapper, *data())
    model_state = {k: v.clone() for k, v in uninterrupted.state_dict().items()}
    optim_state = copy.deepcopy(wrapper.state_dict())
    for _ in range(3):
        step(uninterrupted, wrapper, *data())

    resumed = ToyModel()
    resumed.load_state_dict(model_state)
    other = wrap(resumed)
    other.load_state_dict(optim_state)
    for _ in range(3):
        step(resumed, other, *data())
    for a, b in zip(resumed.parameters(), uninterrupted.parameters()):
        assert torch.equal(a, b)


def test_built_by_name_with_gradient_clipping():
    model = ToyModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='AutocastOptimWrapper', optimizer=optimizer, clip_grad=dict(max_norm=0.01))
    )
    before = [p.clone() for p in model.parameters()]
    step(model, wrapper, *data())
    moved = torch.cat([(a - b).flatten() for a, b in zip(model.parameters(), before)]).norm().item()
    assert 0.009 < moved <= 0.0101
