"""The model of a config, and the file of weights that is made for it."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from mmengine.config import Config
from torch import Tensor

from mmvlforge.config_files import load_config
from mmvlforge.models.weights.conversion import convert
from mmvlforge.registry import MODELS

__all__ = [
    'components',
    'meta_state_dict',
    'read_config',
    'require_groups',
    'write_checkpoint',
    'write_converted',
]


def read_config(path: str) -> Config:
    """Read a config that has a model, and make its scope the default one."""
    cfg = load_config(path)
    if 'model' not in cfg:
        raise ValueError(f"{path}: no 'model' in this config")
    return cfg


def meta_state_dict(model: dict) -> dict[str, Tensor]:
    """Names and shapes of a model; the values are not there (meta device). Parameters are ``nn.Parameter``."""
    with torch.device('meta'):
        return MODELS.build(model).state_dict(keep_vars=True)


def components(own: Iterable[str]) -> list[str]:
    """The parts of a model that its names begin with, in the order of the model."""
    return list(dict.fromkeys(name.partition('.')[0] for name in own))


def require_groups(keys: Iterable[str], groups: Iterable[str], where: str, what: str) -> None:
    """Raise ValueError naming the prefixes that make a file what it should be and that no key has.

    Args:
        keys: Keys of the file.
        groups: Prefixes.
        where: Name of the file.
        what: What it should be, such as 'a METER checkpoint'.
    """
    keys = list(keys)
    absent = [group for group in groups if not any(key.startswith(group) for key in keys)]
    if absent:
        raise ValueError(f'{where}: not {what}: no keys {", ".join(group + "*" for group in absent)}')


def write_converted(
    source: Mapping[str, Tensor], names: Mapping[str, str], model: dict, where: str, out: str, left_out: str
) -> list[str]:
    """Convert for a model and write a file for ``load_from``.

    Args:
        source: Foreign state dict.
        names: ``{foreign key: our name}``.
        model: Config of the model.
        where: Path of the foreign file.
        out: File to write; its folder is made if need be.
        left_out: Pattern of our names that the file is not expected to fill.

    Returns:
        What was done, as lines for people: what fits, and what is left over on either side.

    Raises:
        ValueError: As in ``convert``.
    """
    converted = convert(source, names, meta_state_dict(model), where)
    expected = [name for name in converted.missing if re.fullmatch(left_out, name)]
    unexpected = [name for name in converted.missing if name not in expected]
    filled = components(converted.state_dict)
    left_empty = [name for name in components(expected) if name not in filled]
    write_checkpoint(converted.state_dict, where, out, left_empty)
    return [
        f'{len(converted.state_dict)} tensors converted',
        *_list_keys('unused keys of the file', converted.unused),
        *_list_keys('missing as expected, they start from their own initialisation', expected),
        *_list_keys('MISSING, NOT EXPECTED', unexpected),
        f'written: {out}',
    ]


def _list_keys(title: str, keys: list[str]) -> list[str]:
    return [f'{title}: {len(keys)}', *(f'  {key}' for key in keys)] if keys else []


def write_checkpoint(state_dict: Mapping[str, Tensor], source: str, out: str, left_empty: Sequence[str] = ()) -> None:
    """Write a file for ``load_from``; its folder is made if need be.

    Args:
        state_dict: The weights.
        source: The file they were made from; its name is kept.
        out: File to write.
        left_empty: Parts of the model that the file is not meant to fill, which ``train`` then lets begin anew.
    """
    os.makedirs(os.path.dirname(out) or '.', exist_ok=True)
    meta = {'source': os.path.basename(source), 'left_empty': list(left_empty)}
    torch.save({'state_dict': dict(state_dict), 'meta': meta}, out)
