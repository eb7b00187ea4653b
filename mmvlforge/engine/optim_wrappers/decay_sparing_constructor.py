"""Weight decay on weights alone."""

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmvlforge.registry import OPTIM_WRAPPER_CONSTRUCTORS

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DecaySparingConstructor(DefaultOptimWrapperConstructor):
    """Make an optimiser whose weight decay spares biases, norms and scalars such as a temperature.

    ALBEF spares the first two. Tables of vectors (words, positions, class tokens, queries) decay, as in
    ALBEF. MMEngine's own options cannot say this: a custom key for the rate of an encoder turns them off for all of
    its parameters, and none of them knows a scalar. Parameters are told apart by module and name, not by their shape:
    sharded by FSDP all are flat.

    Args:
        optim_wrapper_cfg: As for the base class.
        paramwise_cfg: As for the base class; ``decay_mult`` of a custom key reaches only what is not spared.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        # Not empty: the base class would give the optimiser all parameters as one group.
        super().__init__(optim_wrapper_cfg, {'custom_keys': {}, **(paramwise_cfg or {})})

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module: int | float | None = None
    ) -> None:
        """Add a module's parameters as the base class does, which comes back here for each child."""
        if prefix and not any(parameter.requires_grad for parameter in module.parameters()):
            return  # frozen: the base class would warn of each of its parameters
        first = len(params)
        super().add_params(params, module, prefix, is_dcn_module)
        spared = {
            id(parameter)
            for name, parameter in module.named_parameters(recurse=False)
            if isinstance(module, _NORMS) or name.endswith('bias') or parameter.ndim == 0
        }
        for group in params[first:]:
            if id(group['params'][0]) in spared:
                group['weight_decay'] = 0.0
        if not prefix:  # all are there
            params[:] = _merge(params)


def _merge(groups: list[dict]) -> list[dict]:
    """Groups with the same settings as one: an optimiser steps through each on its own."""
    merged: dict[tuple, dict] = {}
    for group in groups:
        settings = {key: value for key, value in group.items() if key != 'params'}
        merged.setdefault(tuple(settings.items()), {'params': [], **settings})['params'] += group['params']
    return list(merged.values())
