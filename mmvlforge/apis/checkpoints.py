"""What a run begins with: its checkpoint is found, read and checked before anything else is built."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from mmengine.config import Config
from torch import Tensor, nn

from mmvlforge.apis.loading import check_fit, existing, named_checkpoint
from mmvlforge.config_files import told_of_config
from mmvlforge.models.weights.checkpoint_files import components, meta_state_dict
from mmvlforge.models.weights.reading import TOOLS_REMEDY, damage, first_of, read_checkpoint, require_finite

__all__ = ['Beginning', 'begin_test', 'begin_training', 'newest_whole']

_NUMBERED = re.compile(r'(epoch|iter)_(\d+)\.pth')


class Beginning(NamedTuple):
    """What was found.

    Attributes:
        held: ``{path: content}`` of a file that must not be read again, see ``safe_checkpoints``.
        lines: What the log should say of it.
        resumed: The checkpoint that a training goes on from, if it does.
    """

    held: dict[str, dict]
    lines: list[str]
    resumed: str | None = None


def begin_test(cfg: Config, checkpoint: str, unsafe: bool) -> Beginning:
    """Set the weights that a test is of: all of the model's and nothing else.

    Args:
        cfg: The config; it is changed.
        checkpoint: The file.
        unsafe: Unpickle any object in it.

    Raises:
        ValueError: The file cannot be read, does not fit the model, or holds NaN or infinity.
    """
    cfg.load_from, cfg.resume = checkpoint, False
    content, held = _read(checkpoint, unsafe)
    _check_whole(cfg, content, checkpoint)
    return Beginning(held, [])


def begin_training(cfg: Config, resume: str | None, unsafe: bool) -> Beginning:
    """Set what a training begins with: by ``--resume``, or else by ``resume`` and ``load_from`` of the config.

    Args:
        cfg: The config; it is changed.
        resume: A checkpoint; ``'auto'`` means the newest whole one of the work dir, if there is one.
        unsafe: Unpickle any object in a checkpoint.

    Raises:
        ValueError: There is no such file, it cannot be read, or it does not fit the model.
    """
    if not resume and cfg.get('resume'):
        resume = cfg.resume if isinstance(cfg.resume, str) else cfg.get('load_from') or 'auto'
    lines = []
    if resume == 'auto':
        found, note = newest_whole(cfg.work_dir, _checkpoint_folder(cfg))
        lines += [note] if note else []
        if found is None:
            print(f'--resume: no checkpoint in {cfg.work_dir} yet, starting anew')
        resume = found
    elif resume:
        # Sharded and DeepSpeed's checkpoints are folders.
        resume = resume if 'strategy' in cfg and Path(resume).is_dir() else existing(resume, '--resume: checkpoint')
        resume = os.path.abspath(resume)
    if resume:
        held: dict[str, dict] = {}
        if not Path(resume).is_dir():
            content, held = _read(resume, unsafe)
            _check_whole(cfg, content, resume)
            _check_run(cfg, content, resume)
        # MMEngine reads it there, and the config that it writes to the work dir goes on with the newest: were the file
        # named there, a later run of that config would begin with it once more.
        _write_pointer(Path(cfg.work_dir), resume)
        cfg.resume, cfg.load_from = True, None
        return Beginning(held, lines, resume)
    cfg.resume = False
    if not cfg.get('load_from'):
        return Beginning({}, lines)
    content, held = _read(_start_file(cfg), unsafe)
    lines.append(_check_start(cfg, content))
    if cfg.get('strategy', {}).get('type') == 'DeepSpeedStrategy':
        # It takes load_from for a folder of its own and trains from nothing where there is none.
        first = cfg.model.get('init_cfg') or []
        pretrained = dict(type='Pretrained', checkpoint=cfg.load_from)
        cfg.model.init_cfg = [*([first] if isinstance(first, dict) else first), pretrained]
        cfg.load_from = None
    return Beginning(held, lines)


def newest_whole(work_dir: str | Path, folder: str | Path | None = None) -> tuple[str | None, str | None]:
    """The checkpoint that a run goes on from, wherever its work dir was when it was written.

    Args:
        work_dir: Holds ``last_checkpoint``, which names it.
        folder: Where the checkpoints are; the work dir by default.

    Returns:
        Its path, None if there is none; and what to say if it is not the one that is named.

    Raises:
        ValueError: The one that is named is not whole, and there is none before it.
    """
    folder = Path(folder or work_dir).absolute()
    pointer = Path(work_dir, 'last_checkpoint')
    name = named_checkpoint(pointer)
    if name:
        fault = _fault(folder / name)
        if fault is None:
            return str(folder / name), None
        told = f'{pointer} names {name}, but {fault}'
    else:
        told = f'{pointer} names none' if pointer.is_file() else f'there is no {pointer}'
    named = _NUMBERED.fullmatch(name)
    before = []
    for path in folder.glob('*.pth'):
        found = _NUMBERED.fullmatch(path.name)
        if found and (named is None or (found[1] == named[1] and int(found[2]) < int(named[2]))):
            before.append((int(found[2]), path))
    for _, path in sorted(before, reverse=True):
        if _fault(path) is None:
            return str(path), f'{told}; going on from the newest whole one before it, {path.name}'
    if name:
        raise ValueError(f'{told}, and there is no whole one before it in {folder}; start anew without --resume')
    return None, f'{told}, and the checkpoints there are not whole' if before else None


def _fault(checkpoint: Path) -> str | None:
    if checkpoint.is_dir():  # of a strategy that saves folders
        return None
    return damage(checkpoint) if checkpoint.is_file() else f'it does not exist in {checkpoint.parent}'


def _checkpoint_folder(cfg: Config) -> Path:
    """Where MMEngine's hook saves: its own ``out_dir``, in a folder of the work dir's name."""
    out_dir = cfg.get('default_hooks', {}).get('checkpoint', {}).get('out_dir')
    return Path(out_dir, Path(cfg.work_dir).name) if out_dir else Path(cfg.work_dir)


def _write_pointer(work_dir: Path, checkpoint: str) -> None:
    pointer = work_dir / 'last_checkpoint'
    if pointer.is_file() and pointer.read_text() == checkpoint:
        return
    # Other processes of this run read it at the same time, and write the same.
    work_dir.mkdir(parents=True, exist_ok=True)
    new = work_dir / f'last_checkpoint.{uuid4().hex}'
    new.write_text(checkpoint)
    os.replace(new, pointer)


def _read(path: str, unsafe: bool) -> tuple[dict, dict]:
    """A checkpoint to look at, and what of it is to be held: what a file may do when it is read it does once."""
    if unsafe:
        content = read_checkpoint(path, unsafe, TOOLS_REMEDY)
        return content, {path: content}
    return read_checkpoint(path, remedy=TOOLS_REMEDY, mmap=True), {}


def _own(cfg: Config) -> dict[str, Tensor]:
    with told_of_config(cfg.filename):
        return meta_state_dict(cfg.model)


def _check_whole(cfg: Config, content: dict, path: str) -> None:
    check_fit(_own(cfg), content['state_dict'], path, cfg.filename)
    require_finite(content['state_dict'], path)


def _check_run(cfg: Config, content: dict, path: str) -> None:
    """Refuse weights alone: MMEngine would go on with a new optimizer where the old one is missing."""
    needed = ['meta', 'message_hub', 'optimizer', *(['param_schedulers'] if cfg.get('param_scheduler') else [])]
    lacking = [key for key in needed if key not in content]
    if lacking or not {'epoch', 'iter'} <= content['meta'].keys():
        raise ValueError(
            f'{path}: a run cannot go on from it: it lacks {", ".join(lacking) or "its epoch and iteration"}. Take a '
            'checkpoint such as epoch_1.pth (best_*.pth and converted files hold weights alone), or begin a new run '
            f'with these weights: --cfg-options load_from={path}'
        )


def _start_file(cfg: Config) -> str:
    path = cfg.load_from
    if '://' in path:
        raise ValueError(f'load_from={path!r}: nothing is fetched; download it and give the file')
    if not Path(path).expanduser().is_file():
        raise ValueError(
            f'load_from={path!r} does not exist. Make it (docs/weights.md), or start from nothing with '
            '--cfg-options load_from=None'
        )
    return path


def _check_start(cfg: Config, content: dict) -> str:
    """Refuse a file that leaves a part of the model empty, and say in a line what it fills."""
    where, own = f'load_from={cfg.load_from!r}', _own(cfg)
    state = {name.removeprefix('module.'): value for name, value in content['state_dict'].items()}  # as MMEngine does
    filled = [name for name in own if name in state]
    if not filled:
        raise ValueError(
            f'{where}: nothing in it fits the model of {cfg.filename}: it has {first_of(list(state))}; the model has '
            f"{first_of(list(own))}. Other projects' files must be converted (docs/weights.md)"
        )
    check_fit({name: own[name] for name in filled}, {name: state[name] for name in filled}, where, cfg.filename)
    require_finite({name: state[name] for name in filled}, where)
    learnt = components(name for name, value in own.items() if isinstance(value, nn.Parameter))
    empty = [part for part in learnt if part not in components(filled)]
    # Of what a file says it is not meant to fill a head begins anew; an encoder only where the config fills it.
    excused = [part for part in _left_empty(content) if part.endswith('_head') or _own_start(cfg, part)]
    meant = [*_may_be_empty(cfg), *excused]
    surprising = [part for part in empty if part not in meant]
    if surprising:
        names = ','.join(dict.fromkeys([*_may_be_empty(cfg), *surprising]))
        raise ValueError(
            f'{where}: nothing in it for {", ".join(surprising)} of the model of {cfg.filename}. If these are to begin '
            f'anew: --cfg-options load_from_may_lack={names}'
        )
    return f'{where}: {len(filled)} of {len(own)} tensors filled' + _rest(own, filled, state)


def _may_be_empty(cfg: Config) -> list[str]:
    parts = cfg.get('load_from_may_lack') or []
    return parts.split(',') if isinstance(parts, str) else list(parts)  # a single one on the command line is no list


def _left_empty(content: dict) -> list[str]:
    """Parts that a converted file says it is not meant to fill."""
    meta = content.get('meta')
    left = meta.get('left_empty') if isinstance(meta, Mapping) else None
    return left if isinstance(left, list) else []


def _own_start(cfg: Config, part: str) -> bool:
    config = cfg.model.get(part)
    return isinstance(config, Mapping) and bool(config.get('init_cfg'))


def _rest(own: Mapping[str, Any], filled: list[str], state: Mapping[str, Any]) -> str:
    """What is new and what has no place, for a message."""
    new = []
    for part in components(own):
        names = [name for name in own if name.partition('.')[0] == part]
        missing = len(set(names) - set(filled))
        if missing:
            new.append(part if missing == len(names) else f'{missing} of {len(names)} in {part}')
    unused = [name for name in state if name not in own]
    told = f'; new: {", ".join(new)}' if new else ''
    return told + (f'; without a place: {len(unused)} ({first_of(unused)})' if unused else '')
