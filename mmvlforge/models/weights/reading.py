"""Read state dicts from files, without running what a file may carry."""

import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mmvlforge.annotations.json_files import read_json_object

_REMEDY = 'Save the state dict alone and give that file: torch.save(model.state_dict(), FILE)'
_HF_FILES = ('model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin', 'pytorch_model.bin.index.json')


def read_state_dict(path: str | Path, unsafe: bool = False, remedy: str = _REMEDY) -> dict[str, Tensor]:
    """Read a PyTorch or safetensors file; one level of ``state_dict`` or ``model`` is opened.

    Args:
        path: The file.
        unsafe: Unpickle any object. That can run code: only for files of a trusted source.
        remedy: What a user should do about a file that holds more than tensors; ends the message.

    Raises:
        ValueError: The file is missing, damaged, a TorchScript archive, holds other objects than tensors (unless
            ``unsafe``), or holds no state dict.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ValueError(f'{path}: no such file')
    if path.suffix == '.safetensors':
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f'{path}: not a readable safetensors file: {error}') from error
    if _is_torchscript(path):
        raise ValueError(
            f'{path}: a TorchScript archive (as OpenAI publishes CLIP), not a state dict. Make one of it first: '
            f"torch.save(torch.jit.load(FILE, map_location='cpu').state_dict(), NEW_FILE)"
        )
    try:
        with torch.serialization.safe_globals(_mmengine_globals()):
            content = torch.load(path, map_location='cpu', weights_only=not unsafe)
    except (ImportError, AttributeError) as error:
        raise ValueError(f'{path}: holds an object of a package that is not installed: {error}') from error
    except Exception as error:  # on bytes that are no checkpoint the unpickler raises about anything
        reason = _reason(error)
        ending = '' if unsafe else f', or it holds other objects than tensors. {remedy}'
        raise ValueError(f'{path}: cannot be read ({reason}). The file is damaged{ending}') from error
    state = content
    if isinstance(content, Mapping):
        state = content.get('state_dict', content.get('model', content))
    if not isinstance(state, Mapping) or not state:
        raise ValueError(f'{path}: no state dict in it: found {type(state).__name__}')
    odd = [str(key) for key, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise ValueError(f'{path}: not a state dict: these entries are not tensors: {", ".join(odd[:5])}')
    return dict(state)


def _reason(error: Exception) -> str:
    """What PyTorch says in many lines: the object that it refused to make, or the first line."""
    text = str(error).strip()
    refused = re.search(r'GLOBAL (\S+)', text)
    if refused:
        return f'it could run code: {refused[1]}'
    # PyTorch goes on to advise the unsafe way.
    if not text or 'weights_only' in text:
        return f'{type(error).__name__}, no file of weights'
    return text.splitlines()[0]


def _mmengine_globals() -> list:
    """What MMEngine writes beside the weights: its log's numbers, which name some of their own methods."""
    array, number = np.zeros(1), np.float64(0)
    types = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.uint32)]
    rebuild = [array.__reduce__()[0], number.__reduce__()[0]]
    names = [(_log_method, f'{module}.getattr') for module in ('builtins', '__builtin__')]
    return [HistoryBuffer, np.ndarray, np.dtype, slice, *types, *rebuild, *names]


def _log_method(owner: Any, name: str) -> Any:
    """Stands for ``getattr``, by which a file could reach anything: methods of the log alone."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError(f'GLOBAL getattr({owner!r:.60}, {name!r})')
    return getattr(owner, name)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


def read_hf_weights(folder: str | Path) -> dict[str, Tensor]:
    """Read the weights of a Hugging Face model folder, whole or in shards, safetensors first.

    Args:
        folder: The folder.

    Raises:
        ValueError: There are no weights in it, or a file cannot be read.
    """
    folder = Path(folder).expanduser()
    path = next((folder / name for name in _HF_FILES if (folder / name).is_file()), None)
    if path is None:
        raise ValueError(f'{folder}: no weights; expected one of {", ".join(_HF_FILES)}')
    if path.suffix != '.json':
        return read_state_dict(path)
    shards = read_json_object(path).get('weight_map')
    if not isinstance(shards, dict):
        raise ValueError(f"{path}: needs 'weight_map', an object {{key: file}}")
    state_dict = {}
    for shard in sorted(set(shards.values())):
        state_dict.update(read_state_dict(folder / shard))
    return state_dict


@contextmanager
def safe_checkpoints(unsafe: bool = False) -> Iterator[None]:
    """Let no checkpoint run code while MMEngine reads it.

    MMEngine allows tensors and the few types that it writes itself, but unpickles whatever else there is. Within this
    context PyTorch refuses to.

    Args:
        unsafe: Leave it as it is, for files of a trusted source.

    Raises:
        ValueError: A checkpoint holds other objects.
    """
    if unsafe:
        yield
        return
    name = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
    before = os.environ.get(name)
    os.environ[name] = '1'
    try:
        yield
    except pickle.UnpicklingError as error:
        found = re.search(r'GLOBAL (\S+)', str(error))
        reason = found[1] if found else str(error).splitlines()[0]
        raise ValueError(
            f'a checkpoint was not read, because it holds more than tensors and could run code: {reason}. If you trust '
            'its source, save its state dict alone, or give train or test --unsafe-load'
        ) from None
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
