"""What a figure was made from: the manifest that runs write and that every file of metrics carries."""

import hashlib
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from mmvlforge.annotations.json_files import read_json_object
from mmvlforge.version import __version__

__all__ = [
    'MANIFEST',
    'check_made_from',
    'described_config',
    'described_file',
    'file_fingerprint',
    'file_stamp',
    'new_manifest',
    'read_metrics_file',
    'text_fingerprint',
    'weights_fingerprint',
]

MANIFEST = 'manifest'  # its key in a file of metrics
_PACKAGES = (
    *('torch', 'torchvision', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain', 'transformers', 'tokenizers'),
    *('numpy', 'opencv-python', 'pillow'),
)


def new_manifest(command: str, **facts: Any) -> dict[str, Any]:
    """A manifest of now and of what is installed here.

    Args:
        command: What makes the figures, such as ``'score manipulation'``.
        **facts: What they are made from; None is left out.
    """
    versions = dict(mmvlforge=__version__, python=platform.python_version())
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    known = {name: value for name, value in facts.items() if value is not None}
    return dict(command=command, time=time.strftime('%Y-%m-%dT%H:%M:%S%z'), **known, versions=versions)


def _digest(data: bytes = b'') -> Any:
    return hashlib.blake2b(data, digest_size=16)


def text_fingerprint(text: str) -> str:
    """Digest of a text."""
    return _digest(text.encode()).hexdigest()


def file_fingerprint(path: str | Path) -> str:
    """Digest of a file's bytes; of a folder's, that of the names and digests of its files."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        return text_fingerprint(''.join(f'{file.name} {file_fingerprint(file)}\n' for file in files))
    digest = _digest()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_stamp(path: str | Path) -> list[int]:
    """Size of a file in bytes, and when it was changed, in ns; empty if there is none. Costs no reading."""
    path = Path(path)
    if not path.is_file():
        return []
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def described_file(path: str | Path, **facts: Any) -> dict[str, Any]:
    """Name, fingerprint and what else is known of a file."""
    return dict(file=str(path), fingerprint=file_fingerprint(path), **facts)


def described_config(cfg: Config, cfg_options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """File and settings of a config as it was read, and the fingerprint of both together."""
    settings = [f'{name}={value}' for name, value in (cfg_options or {}).items()]
    return dict(file=cfg.filename, fingerprint=text_fingerprint(cfg.pretty_text), settings=settings)


def weights_fingerprint(state_dict: Mapping[str, Tensor]) -> str:
    """Digest of all weights by name: equal for equal weights, whatever file they come from."""
    digest = _digest()
    for name, value in sorted(state_dict.items()):
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_metrics_file(path: str | Path) -> tuple[dict, dict]:
    """Read a JSON file of metrics.

    Returns:
        Its values, and its manifest; an empty one of a file that carries none.

    Raises:
        ValueError: It is no JSON object, or its manifest is none.
    """
    values = read_json_object(path)
    manifest = values.pop(MANIFEST, {})
    if not isinstance(manifest, dict):
        raise ValueError(f'{path}: {MANIFEST} is {manifest!r:.60}, must be a JSON object')
    return values, manifest


def check_made_from(path: str | Path, **fingerprints: str) -> None:
    """Refuse metrics of something else; those that do not say what they are of pass.

    Args:
        path: JSON file of metrics.
        **fingerprints: What they must be of, such as ``weights='0a1b...'``, by the manifest's names.

    Raises:
        ValueError: Its manifest has another fingerprint.
    """
    manifest = read_metrics_file(path)[1]
    for name, wanted in fingerprints.items():
        told = manifest.get(name)
        if isinstance(told, dict) and told.get('fingerprint') not in (None, wanted):
            raise ValueError(
                f'{path}: was made from other {name} than those given: from {told.get("file")}, whose fingerprint was '
                f'{told["fingerprint"]}, not {wanted}'
            )
