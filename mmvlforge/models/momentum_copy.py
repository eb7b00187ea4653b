"""Copies of modules that follow them slowly."""

import re
from copy import deepcopy
from itertools import chain
from logging import WARNING

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

__all__ = ['MomentumCopy', 'is_obsolete']

_OBSOLETE = re.compile(r'(.*\.)?momentum\.text_encoder\.layers\.\d+\.cross_(attn|norm)\..*')


def is_obsolete(name: str) -> bool:
    """Whether a name is of a momentum encoder's cross-attention: copied once though no key was made with it."""
    return _OBSOLETE.fullmatch(name) is not None


class MomentumCopy(nn.Module):
    """Momentum encoders (Eq. 1-2 of the ViLEM paper): copies of some children of a model, under the same names.

    They have no gradient and stay in evaluation mode: no dropout in the keys, and normalisation by statistics that are
    averaged like the weights. Keys are made of a picture or a caption alone, so that a text encoder's copy gives up its
    cross-attentions (``drop_cross_attention``). Those of an older checkpoint are not loaded, and the log says so.

    Args:
        model: Whose children to copy.
        names: Names of these children.
        momentum: m, the share of the old value that an update keeps.
    """

    def __init__(self, model: nn.Module, names: tuple, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        for name in names:
            copy = deepcopy(getattr(model, name)).requires_grad_(False)
            if hasattr(copy, 'drop_cross_attention'):
                copy.drop_cross_attention()
            self.add_module(name, copy)
        self.register_load_state_dict_pre_hook(_leave_obsolete)
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
        ours, theirs = _tensors(self), _tensors(sources)
        return list(ours.values()), [theirs[name] for name in ours]


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(chain(module.named_parameters(), module.named_buffers()))


def _leave_obsolete(module: nn.Module, state_dict: dict, prefix: str, *args) -> None:
    own = module.state_dict(prefix=prefix)
    left = [name for name in state_dict if name not in own and is_obsolete(name)]
    for name in left:
        del state_dict[name]
    if left:
        print_log(
            f"{len(left)} tensors of an older checkpoint are left out, the momentum encoder's cross-attentions, which "
            f'nothing used: {left[0]}, ... Its run cannot be resumed, since its optimizer counts them; begin a new one '
            'from its weights with load_from',
            logger='current',
            level=WARNING,
        )


def _where(chosen: list, tensors: list) -> list:
    return [tensor for keep, tensor in zip(chosen, tensors) if keep]
