"""Configs: found by path or name, read, and what cannot be built from them told as a mistake in them."""

import difflib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmvlforge

__all__ = ['config_folder', 'find_config', 'load_config', 'told_of_config']


def config_folder() -> Path:
    """The folder of our configs: inside an installed package, or at the root of a checkout."""
    package = Path(mmvlforge.__file__).parent
    inside = package / '.mim' / 'configs'
    return inside if inside.is_dir() else package.parent / 'configs'


def find_config(name: str | Path) -> str:
    """The file of a config.

    Args:
        name: A path, or the name of one of ours: ``dgm4/dca_imq``, ``configs/dgm4/dca_imq.py`` from anywhere, or
            ``mmvlforge::dgm4/dca_imq.py``.

    Raises:
        ValueError: There is none; the message names the ones with a similar name.
    """
    if Path(name).is_file():
        return str(name)
    own = str(name).removeprefix('mmvlforge::').removeprefix('configs/').removesuffix('.py')
    folder = config_folder()
    path = folder / f'{own}.py'
    if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
        return str(path)
    names = sorted(
        file.relative_to(folder).with_suffix('').as_posix()
        for file in folder.glob('*/*.py')
        if not file.is_relative_to(folder / '_base_')
    )
    # By the last part too: who forgot the folder finds it again.
    short = {n.rpartition('/')[2]: n for n in names}
    close = difflib.get_close_matches(own, names, 3) or [
        short[n] for n in difflib.get_close_matches(own.rpartition('/')[2], short, 3)
    ]
    hint = f'did you mean {", ".join(close)}?' if close else f'give a file, or one of {", ".join(names[:3])}, ...'
    raise ValueError(f'config {str(name)!r} does not exist; {hint}')


def load_config(name: str | Path, cfg_options: dict | None = None) -> Config:
    """Read a config, put settings over it, and make its scope the default one.

    Args:
        name: As in :func:`find_config`.
        cfg_options: ``{'model.neck.drop': 0.0}`` and the like.

    Raises:
        ValueError: It does not exist, is no config, or a setting does not fit it.
    """
    path = find_config(name)
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is code: anything can go wrong in it
        raise ValueError(f'{path}: cannot be read as a config: {type(error).__name__}: {error}') from error
    try:
        cfg.merge_from_dict(cfg_options or {})
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f'{path}: the settings {cfg_options} do not fit this config: {error}') from error
    init_default_scope(cfg.get('default_scope', 'mmvlforge'))
    return cfg


@contextmanager
def told_of_config(config: str | Path) -> Iterator[None]:
    """Tell what cannot be built from a config as a mistake in it: a wrong name, type or argument.

    Raises:
        ValueError: Something was raised while an object was built from settings. Whatever else is raised passes.
    """
    try:
        yield
    except (ValueError, OSError):
        raise  # they have their own message
    except Exception as error:
        frames = traceback.walk_tb(error.__traceback__)
        if not any(frame.f_code.co_name == 'build_from_cfg' for frame, _ in frames):
            raise
        raise ValueError(f'{config}: cannot be built: {type(error).__name__}: {error}') from error
