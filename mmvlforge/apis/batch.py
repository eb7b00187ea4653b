"""Check a list of any length: results are appended as they come, and a list that was stopped goes on where it was.

There is one line for each input, in the order of the list. So the number of whole lines is the number of inputs that
are done, and a process may be killed at any time: what is lost is the work on at most the batches in hand, and a line
that was being written is cut off when the work goes on. Beside the results a manifest says which list, model and
settings they are of; others are refused.
"""

import io
import json
import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmvlforge.annotations.json_files import parse_json, read_json_object, write_json
from mmvlforge.apis.inferencer import ForgeInferencer, Item
from mmvlforge.apis.inputs import Query, batched, read_list
from mmvlforge.apis.manipulation import ManipulationInferencer
from mmvlforge.folder_lock import folder_lock
from mmvlforge.manifest import described_file, new_manifest, text_fingerprint
from mmvlforge.workers import begin_worker

__all__ = ['BatchCounts', 'check_batch', 'prepared_batches']

_SCHEMA = 'mmvlforge.check-batch/1'
_VERDICTS = ('fake', 'real', 'inconclusive')


class BatchCounts(NamedTuple):
    """What a file of results holds.

    Attributes:
        total: Inputs of the list, and lines of results.
        before: Of them, how many were there before.
        verdicts: How many of each verdict.
        unusable: How many have an ``error``.
    """

    total: int
    before: int
    verdicts: dict[str, int]
    unusable: int


def check_batch(
    inferencer: ManipulationInferencer,
    pairs: str | Path,
    out: str | Path,
    batch_size: int = 16,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> BatchCounts:
    """Check all pairs of a list. Memory does not grow with their number.

    Args:
        inferencer: The detector.
        pairs: A ``.csv`` or ``.jsonl`` file, see :func:`mmvlforge.apis.inputs.read_queries`.
        out: JSON Lines of results, to write or to go on with. A manifest is written beside it.
        batch_size: Pairs that go through the model together.
        workers: Processes that read and prepare pictures; 0 does it in this one. By default as many as there are
            cores, but four at the most.
        progress: Called with how many of how many are done.

    Raises:
        ValueError: The list is broken as a whole or empty, ``out`` is in use or holds something else, or a process
            that reads pictures died.
    """
    out = Path(out)
    total = sum(1 for _ in read_list(pairs))  # what is broken as a whole is told now
    if not total:
        raise ValueError(f'{pairs}: holds no pair')
    if out.is_dir():
        raise ValueError(f'{out}: is a folder; give a file to write')
    with folder_lock(out.parent, 'mmvlforge check-batch', out.name):
        counts, last = _begin(out, _about(inferencer, pairs))
        before = counts['lines']
        if before:
            _check_last(out, before, last, next(islice(read_list(pairs), before - 1, None), None))
        rest = islice(read_list(pairs), before, None)
        with open(out, 'ab') as file:
            for ready in prepared_batches(inferencer, rest, batch_size, workers):
                lines = [_line(result) for _, _, result in inferencer.answered(ready)]
                file.write(b''.join(lines))
                file.flush()
                for line in lines:
                    _count(counts, line)
                progress(counts['lines'], total)
    return BatchCounts(total, before, {name: counts[name] for name in _VERDICTS}, counts['error'])


def prepared_batches(
    inferencer: ForgeInferencer, queries: Iterator[Query | ValueError], batch_size: int, workers: int | None = None
) -> Iterator[list[Item | dict]]:
    """Batches for :meth:`ForgeInferencer.answered`, prepared by other processes while the model is at work.

    Args:
        inferencer: The model.
        queries: What is asked; no more of it is read than two batches a process ahead.
        batch_size: How many at a time.
        workers: Processes; 0 for none. By default as many as there are cores, but four at the most.

    Raises:
        ValueError: A process died.
    """
    workers = _num_workers(workers)
    loader = DataLoader(
        _Prepared(inferencer),
        batch_sampler=batched(queries, batch_size),  # the queries themselves in place of indices
        num_workers=workers,
        collate_fn=_dumps,
        worker_init_fn=begin_worker,
        multiprocessing_context='fork' if workers else None,
    )
    try:
        yield from map(pickle.loads, loader)
    except RuntimeError as error:
        if 'DataLoader worker' not in str(error):
            raise
        raise ValueError(
            f'a process that reads pictures died ({str(error).splitlines()[0]}), perhaps for want of memory; '
            'the same command goes on from here; try it with fewer --workers'
        ) from error


class _Prepared(Dataset):
    def __init__(self, inferencer: ForgeInferencer) -> None:
        self.inferencer = inferencer

    def __getitem__(self, query: Query | ValueError) -> Item | dict:
        item = self.inferencer.prepared(query)
        if isinstance(item, Item) and item.picture:
            item.picture.forget()
        return item


class _Pickler(pickle.Pickler):
    """Tensors travel as arrays: PyTorch's own way takes a file descriptor each, and its plain pickles take longer."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Tensor:
            return torch.from_numpy, (obj.numpy(),)
        return NotImplemented


def _dumps(items: list) -> bytes:
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(items)
    return file.getvalue()


def _num_workers(workers: int | None) -> int:
    if workers is None:
        return min(len(os.sched_getaffinity(0)), 4)
    if workers < 0:
        raise ValueError(f'workers must be at least 0, got {workers}')
    return workers


def _about(inferencer: ManipulationInferencer, pairs: str | Path) -> dict[str, Any]:
    """What results are of, and must stay of."""
    trained = inferencer.trained
    learnt = trained.calibration
    return dict(
        schema=_SCHEMA,
        results=inferencer.schema,
        pairs=described_file(pairs),
        model=dict(
            trained.describe(),
            config=text_fingerprint(repr(trained.cfg.to_dict())),  # pretty_text takes seconds
            calibration=text_fingerprint(repr(learnt.fitted)) if learnt else None,
            familiarity=sorted(trained.familiarity),
        ),
        settings=dict(
            bf16=inferencer.bf16,
            stability=inferencer.stability,
            provenance=inferencer.provenance,
            max_pixels=inferencer.max_pixels,
        ),
    )


def _begin(out: Path, about: dict[str, Any]) -> tuple[Counter, bytes]:
    """Make a file of results ready to be appended to, and count what it holds; its last whole line.

    Raises:
        ValueError: It holds something else.
    """
    manifest = out.with_name(f'{out.name}.manifest.json')
    counts: Counter = Counter()
    if not out.exists() or not out.stat().st_size:
        new = manifest.with_name(f'.{manifest.name}.new')
        write_json(new, new_manifest('check-batch', about=about))
        new.replace(manifest)
        return counts, b''
    if not manifest.is_file():
        raise ValueError(f'{out}: exists, and no {manifest.name} beside it says what of; give another file')
    _check_same(out, read_json_object(manifest).get('about'), about)
    end, last = 0, b''
    with open(out, 'rb') as file:
        for line in file:
            if line.endswith(b'\n'):
                end, last = end + len(line), line
                _count(counts, line)
    os.truncate(out, end)
    return counts, last


def _check_last(out: Path, number: int, line: bytes, query: Query | ValueError | None) -> None:
    """Raise ValueError if the last line is not of the input with the same number: somebody edited the file."""
    result = parse_json(line.decode(errors='replace'), out, number)
    query = Query() if isinstance(query, ValueError) else query
    wanted = query and (query.image_name, query.caption, query.id)
    found = tuple(result.get(name) for name in ('image', 'caption', 'id')) if isinstance(result, dict) else None
    if wanted is None or found is None or _placeless(found) != _placeless(wanted):
        raise ValueError(
            f'{out}:{number}: is not of the input with that number: lines were added, removed or changed. Give another '
            'file, or remove it'
        )


def _placeless(asked: tuple) -> tuple:
    """Image, caption and id; of the image the name alone, for a list may be moved with its pictures."""
    return Path(asked[0] or '').name, *asked[1:]


def _check_same(out: Path, found: Any, wanted: dict[str, Any]) -> None:
    for part, value in wanted.items():
        old = found.get(part) if isinstance(found, dict) else None
        # Where the list lies does not matter.
        if part == 'pairs' and isinstance(old, dict):
            old, value = old.get('fingerprint'), value['fingerprint']
        if old != value:
            told = f'{old} there and {value} now'
            if isinstance(old, dict):
                told = ', '.join(
                    f'{name} was {old.get(name)!r:.80}, is {now!r:.80}'
                    for name, now in value.items()
                    if old.get(name) != now
                )
            raise ValueError(f'{out}: holds results of other {part}: {told}. Give another file, or remove it')


def _line(result: dict) -> bytes:
    return json.dumps(result, ensure_ascii=False, allow_nan=False).encode() + b'\n'


def _count(counts: Counter, line: bytes) -> None:
    """Count a line by what it holds. Within a JSON string a quotation mark is escaped, so that these are keys."""
    counts['lines'] += 1
    counts['error'] += b'"error": "' in line
    for verdict in _VERDICTS:
        counts[verdict] += f'"verdict": "{verdict}"'.encode() in line
