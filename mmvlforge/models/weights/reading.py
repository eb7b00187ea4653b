"""Read state dicts from files, without running what a file may carry."""

import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_from_local
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mmvlforge.annotations.json_files import read_json_object
from mmvlforge.annotations.values import one_line

_REMEDY = 'Save the state dict alone and give that file: torch.save(model.state_dict(), FILE)'
TOOLS_REMEDY = 'If you trust its source: --unsafe-load'
_SHOWN = 10  # names in a message
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
    return dict(read_checkpoint(path, unsafe, remedy)['state_dict'])


def read_checkpoint(
    path: str | Path, unsafe: bool = False, remedy: str = _REMEDY, map_location: Any = 'cpu', mmap: bool = False
) -> dict[str, Any]:
    """Read all of a file as :func:`read_state_dict` reads its weights.

    Args:
        path: The file.
        unsafe: As there.
        remedy: As there.
        map_location: Device of the tensors.
        mmap: Map the tensors from the file, which must then stay as it is while they live: for a look at them.

    Returns:
        What the file holds, its weights under ``state_dict`` whatever it calls them.

    Raises:
        ValueError: As there.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ValueError(f'{path}: no such file')
    if path.suffix == '.safetensors':
        try:
            return dict(state_dict=load_file(path))
        except SafetensorError as error:
            raise ValueError(f'{path}: not a readable safetensors file: {one_line(str(error))}') from error
    fault = damage(path)
    if fault:
        raise ValueError(f'{path}: cannot be read: {fault}')
    try:
        with torch.serialization.safe_globals(_mmengine_globals()):
            content = torch.load(
                path, map_location=map_location, weights_only=not unsafe, mmap=mmap and zipfile.is_zipfile(path)
            )
    except (ImportError, AttributeError) as error:
        missing = one_line(str(error))
        raise ValueError(f'{path}: holds an object of a package that is not installed: {missing}') from error
    except Exception as error:  # on bytes that are no checkpoint the unpickler raises about anything
        refused = _refused(error)
        if refused:
            raise ValueError(
                f'{path}: was not read: it holds other objects than tensors, and it could run code: {refused}. {remedy}'
            ) from error
        raise ValueError(f'{path}: cannot be read: it is damaged, or no file of weights: {_reason(error)}') from error
    state = content
    if isinstance(content, Mapping):
        state = content.get('state_dict', content.get('model', content))
    if not isinstance(state, Mapping) or not state:
        raise ValueError(f'{path}: no state dict in it: found {type(state).__name__}')
    odd = [str(key) for key, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise ValueError(f'{path}: not a state dict: these entries are not tensors: {one_line(", ".join(odd[:5]))}')
    return dict(state_dict=state) if state is content else {**content, 'state_dict': state}


def damage(path: Path) -> str | None:
    """What is wrong with the bytes of a file of weights, None if they are whole."""
    stat = path.stat()
    return _damage(path, stat.st_size, stat.st_mtime_ns) or _foreign(path)


@lru_cache(maxsize=8)  # a file is looked at before the data are, and again when it is loaded
def _damage(path: Path, size: int, mtime_ns: int) -> str | None:
    if not size:
        return 'it is empty (0 bytes)'
    with open(path, 'rb') as file:
        if file.read(2) != b'PK' and not zipfile.is_zipfile(path):
            return None
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # PyTorch itself compares no checksum
            # What is marked as a folder PyTorch leaves unread, and its tensor is whatever the memory held.
            broken = broken or next((part.filename for part in archive.infolist() if part.external_attr & 0x10), None)
    except Exception as error:  # of damaged bytes zipfile makes about anything: encryption, another compression
        return f'it is cut off or damaged ({one_line(str(error))}); copy or download it again'
    return f'its part {one_line(broken)} is damaged (checksum); copy or download it again' if broken else None


def _foreign(path: Path) -> str | None:
    """What a file is that is no PyTorch file, None if it may be one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.endswith('/constants.pkl') for name in names):
            return (
                'it is a TorchScript archive (as OpenAI publishes CLIP), not a state dict. Make one of it first: '
                "torch.save(torch.jit.load(FILE, map_location='cpu').state_dict(), NEW_FILE)"
            )
        if not any(name.endswith('/data.pkl') for name in names):
            return f'it is a zip archive, but not of PyTorch; it holds {one_line(", ".join(names[:3])) or "nothing"}'
        return None
    with open(path, 'rb') as file:
        head = file.read(512)
    # Pickles of PyTorch before 1.6, and its tar files of before 0.2.
    if head[0] == 0x80 or head[257:262] == b'ustar':
        return None
    return f'it is no file of weights; it begins with {head[:24]!r}'


def require_finite(state_dict: Mapping[str, Tensor], where: str) -> None:
    """Raise ValueError if weights hold NaN or infinity; the first ten such tensors are named.

    Args:
        state_dict: The weights.
        where: Where they were read from.
    """
    bad = [name for name, value in state_dict.items() if not _finite(value)]
    if bad:
        raise ValueError(f'{where}: {len(bad)} tensors hold NaN or infinity: {first_of(bad)}')


def _finite(value: Tensor) -> bool:
    if not value.is_floating_point() or not value.numel() or value.is_meta:
        return True
    # In one pass; isfinite() alone would make two tensors of that size.
    return bool(torch.stack(value.detach().aminmax()).isfinite().all())


def first_of(names: Sequence[str]) -> str:
    """The first ten names of a list, for a message."""
    return ', '.join(names[:_SHOWN]) + (', ...' if len(names) > _SHOWN else '')


def _refused(error: Exception) -> str | None:
    """The object that PyTorch refused to make, if that is what the error is about."""
    found = re.search(r'GLOBAL (\S+)', str(error))
    return one_line(found[1]) if found else None


def _reason(error: Exception) -> str:
    """The first line of what PyTorch says in many, none of its advice to read the unsafe way."""
    text = str(error).strip()
    if not text or 'weights_only' in text:
        return type(error).__name__
    return one_line(text.splitlines()[0])


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
        named = owner if isinstance(owner, type) else type(owner)
        raise pickle.UnpicklingError(f'GLOBAL {named.__module__}.{named.__qualname__}.{name}')
    return getattr(owner, name)


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
def safe_checkpoints(unsafe: bool = False, held: dict[str, dict] | None = None) -> Iterator[None]:
    """Let no checkpoint run code while MMEngine reads it: it then reads local files by :func:`read_checkpoint`.

    MMEngine by itself allows ``getattr``, by which a file reaches anything, unpickles all of a file that it could not
    read otherwise, and runs the config in a checkpoint (Python) as it resumes, for a key that nobody sets any more.

    Args:
        unsafe: Unpickle any object, for files of a trusted source.
        held: ``{path: content}`` of files that were read before and are not to be read again.

    Raises:
        ValueError: A checkpoint cannot be read, or holds other objects.
    """
    held = held if held is not None else {}

    def load_from_disk(filename: str, map_location: Any = None) -> dict:
        content = held.pop(filename, None) or read_checkpoint(filename, unsafe, TOOLS_REMEDY, map_location)
        meta = content.get('meta')
        if isinstance(meta, Mapping) and 'config' in meta:
            content['meta'] = {key: value for key, value in meta.items() if key != 'config'}
        return content

    name = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'  # for what else reads files, such as DeepSpeed
    before = os.environ.get(name)
    if not unsafe:
        os.environ[name] = '1'
    CheckpointLoader.register_scheme('', load_from_disk, force=True)
    try:
        yield
    except pickle.UnpicklingError as error:
        raise ValueError(
            f'a file was not read: it could run code: {_refused(error) or _reason(error)}. {TOOLS_REMEDY}'
        ) from None
    finally:
        CheckpointLoader.register_scheme('', load_from_local, force=True)
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
