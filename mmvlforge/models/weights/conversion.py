"""From a foreign state dict and its key map to values that fit our model."""

from collections.abc import Mapping
from math import isqrt
from typing import NamedTuple

from mmengine.logging import print_log
from mmengine.model import update_init_info
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from mmvlforge.models.weights.reading import require_finite


class Converted(NamedTuple):
    """A state dict under our names, and what did not fit."""

    state_dict: dict[str, Tensor]
    unused: list[str]  # keys of the source without a place in the target
    missing: list[str]  # names of the target that the source does not fill


def convert(
    source: Mapping[str, Tensor], names: Mapping[str, str], target: Mapping[str, Tensor], where: str
) -> Converted:
    """Rename a state dict and bring every value to the target's shape and type.

    A position embedding (``*.pos_embed``) on another square grid is resized bicubically, [CLS] kept. Axes of size one
    are put in front where the target has them. Nothing else is reshaped.

    Args:
        source: Foreign state dict.
        names: ``{foreign key: our name}``.
        target: Our state dict; only its names, shapes and types are read, so the meta device will do.
        where: Name of the file, for messages.

    Raises:
        ValueError: A shape does not fit (names the key and both shapes), no key has a place in the target, or what has
            one holds NaN or infinity.
    """
    state_dict, unused = {}, []
    for key, value in source.items():
        name = names.get(key)
        if name is None or name not in target:
            unused.append(key)
            continue
        state_dict[name] = _fit(value.detach(), target[name], f'{where}: {key} → {name}')
    if not state_dict:
        raise ValueError(f'{where}: no key fits the model; the file has {_some(source)}, the model {_some(target)}')
    require_finite(state_dict, where)
    return Converted(state_dict, unused, [name for name in target if name not in state_dict])


def _fit(value: Tensor, target: Tensor, label: str) -> Tensor:
    found, wanted = tuple(value.shape), tuple(target.shape)
    value = value.to(target.dtype).reshape((1,) * (target.ndim - value.ndim) + found)
    if label.endswith('pos_embed') and value.ndim == 3 and value.shape != wanted and value.shape[2] == wanted[2]:
        old, new = isqrt(value.shape[1] - 1), isqrt(wanted[1] - 1)
        if (old**2, new**2) == (value.shape[1] - 1, wanted[1] - 1):
            value = resize_pos_embed(value, (old, old), (new, new), mode='bicubic', num_extra_tokens=1)
    if value.shape != wanted:
        raise ValueError(f'{label}: the file has shape {found}, the model needs {wanted}')
    return value


def _some(keys: Mapping[str, Tensor]) -> str:
    return ', '.join(list(keys)[:3]) + (', ...' if len(keys) > 3 else '')


def load_into(module: nn.Module, source: Mapping[str, Tensor], names: Mapping[str, str], where: str) -> Converted:
    """Convert ``source`` to the module's names, load it, and log what was left over on either side.

    Args:
        module: Where the weights go.
        source: Foreign state dict.
        names: ``{foreign key: our name}``.
        where: Name of the file, for messages.

    Returns:
        As ``convert``.

    Raises:
        ValueError: As in ``convert``.
    """
    converted = convert(source, names, module.state_dict(), where)
    module.load_state_dict(converted.state_dict, strict=False)
    print_log(f'{where}: {len(converted.state_dict)} tensors loaded', logger='current')
    for title, keys in (('unused keys of the file', converted.unused), ('missing keys', converted.missing)):
        if keys:
            print_log(f'{where}: {len(keys)} {title}: {", ".join(keys)}', logger='current')
    if hasattr(module, '_params_init_info'):  # MMEngine's record of how each parameter began
        update_init_info(module, init_info=f'Loaded from {where}')
    return converted
