"""Copies of modules that follow them slowly."""

from copy import deepcopy

import torch
from torch import nn


class MomentumCopy(nn.Module):
    """Momentum encoders (Eq. 1-2 of the ViLEM paper): copies of some children of a model, under the same names.

    They have no gradient and stay in evaluation mode: no dropout in the keys, and normalisation by statistics that are
    averaged like the weights.

    Args:
        model: Whose children to copy.
        names: Names of these children.
        momentum: m, the share of the old value that an update keeps.
    """

    def __init__(self, model: nn.Module, names: tuple, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        for name in names:
            self.add_module(name, deepcopy(getattr(model, name)).requires_grad_(False))
        self.eval()

    def train(self, mode: bool = True) -> 'MomentumCopy':
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """θ̂ = m θ̂ + (1 - m) θ for every parameter and buffer; those of whole numbers (counters) are copied."""
        ours, theirs = self._pairs(model)
        real = [t.is_floating_point() for t in ours]
        torch._foreach_lerp_(_where(real, ours), _where(real, theirs), 1 - self.momentum)
        for copy, source in zip(_where([not r for r in real], ours), _where([not r for r in real], theirs)):
            copy.copy_(source)

    @torch.no_grad()
    def restart(self, model: nn.Module) -> None:
        """Become equal to the model."""
        for copy, source in zip(*self._pairs(model)):
            copy.copy_(source)

    def _pairs(self, model: nn.Module) -> tuple:
        """Parameters and buffers of the copies, and of their sources in the same order."""
        sources = nn.ModuleDict({name: getattr(model, name) for name, _ in self.named_children()})
        return _tensors(self), _tensors(sources)


def _tensors(module: nn.Module) -> list:
    return [*module.parameters(), *module.buffers()]


def _where(chosen: list, tensors: list) -> list:
    return [tensor for keep, tensor in zip(chosen, tensors) if keep]
