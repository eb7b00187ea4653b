"""An index of pictures: built from an archive once, searched by words, by a picture, or by both."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmvlforge.annotations.values import one_line
from mmvlforge.apis.batch import prepared_batches
from mmvlforge.apis.index_filter import parse_filter
from mmvlforge.apis.index_sources import Source, lies_there, picture_bytes, place_of, read_source
from mmvlforge.apis.index_stores import Entry, Found, open_store
from mmvlforge.apis.inputs import ImageSource, Picture, Query
from mmvlforge.apis.loading import NAMED
from mmvlforge.apis.retrieval import RetrievalInferencer
from mmvlforge.config_files import find_config
from mmvlforge.datasets.transforms.loading import UnusableImageError
from mmvlforge.evaluation.near_copies import likeness
from mmvlforge.folder_lock import folder_lock
from mmvlforge.manifest import new_manifest, text_fingerprint

__all__ = ['NEARLY', 'Added', 'KnownPicture', 'PictureIndex', 'asked_with', 'known_pictures']

SCHEMA = 'mmvlforge.index/1'
# From this likeness on two files are held for one picture; docs/search.md says how it was chosen.
NEARLY = 0.85
_CHUNK = 256  # records that are looked up together
_MOST = 60_000  # bytes of a picture's paths, captions and columns as JSON; Milvus has a limit of 65,535 for each


class Added(NamedTuple):
    """What was done to an index.

    Attributes:
        records: How many records the source has.
        new: Pictures that were encoded and written.
        changed: Pictures that were known and got another path, caption or column, or lost a path.
        removed: Pictures of which no file is left, since another one lies there.
        left_out: Records that cannot be used, each with the reason.
    """

    records: int
    new: int
    changed: int
    removed: int
    left_out: list[str]


class KnownPicture(NamedTuple):
    """A picture of an index that is the one asked about.

    Attributes:
        kind: ``'same'``, the very file, or ``'nearly'``: recompressed, resized, cropped, mirrored or without colours.
        likeness: Of the pixels, 1 at the most.
        entry: The picture.
    """

    kind: str
    likeness: float
    entry: Entry

    def flat(self) -> dict[str, Any]:
        """As a result of a check carries it."""
        entry = self.entry
        told = dict(path=entry.paths[0], captions=entry.captions, paths=entry.paths, fields=entry.fields, id=entry.id)
        return dict(kind=self.kind, likeness=self.likeness, **told)


class PictureIndex:
    """Pictures, their vectors, captions and columns, in a store.

    Args:
        uri: Where it is; see :func:`mmvlforge.apis.index_stores.open_store`.
        ask: The model; None to look without one, for all that needs no vectors.
        collection: Name of the collection, of Milvus alone.
        new: Begin one where there is none yet.

    Raises:
        ValueError: There is none, it is of another model or of another version of this program, or as in open_store.
    """

    def __init__(
        self, uri: str, ask: RetrievalInferencer | None = None, collection: str = 'mmvlforge', new: bool = False
    ) -> None:
        self.uri, self.ask = uri, ask
        nothing = f'{uri}: holds no index; mmvlforge index build makes one'
        if not new and '://' not in uri and not Path(uri).exists():
            raise ValueError(nothing)
        self.store = open_store(uri, collection)
        about = self.store.about()
        if about is None:
            if not new or ask is None:
                raise ValueError(nothing)
            dims = ask.encode_texts(['a picture']).shape[1]
            config = Path(ask.trained.config).absolute()
            named = next((name for name, ours in NAMED.items() if Path(find_config(ours)).absolute() == config), None)
            self.store.create(new_manifest('index build', schema=SCHEMA, named=named, **_made_by(ask)), dims)
            about = self.store.about() or {}
        if about.get('schema') != SCHEMA:
            raise ValueError(f'{uri}: is an index of the form {about.get("schema")!r}, this program reads {SCHEMA!r}')
        for what, keys in (('model', ('name', 'fingerprint')), ('settings', ()), ('preprocessing', ('fingerprint',))):
            found = about.get(what)
            if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in keys):
                raise ValueError(f'{uri}: does not say which {what} it was built with: it is damaged')
        if ask is not None:
            for what, wanted in _made_by(ask).items():
                found = about[what]
                if found.get('fingerprint') != wanted['fingerprint']:
                    raise ValueError(
                        f'{uri}: was built by other {what} ({found.get("name")}): the fingerprint was '
                        f'{found.get("fingerprint")}, not {wanted["fingerprint"]} ({wanted["name"]}); take that model, '
                        'or build another index'
                    )
        self.about: dict[str, Any] = about

    def _lock(self) -> Any:
        path = Path(self.uri)
        if self.store.kind == 'exact':
            return folder_lock(path, 'mmvlforge index')
        if self.store.kind == 'Milvus Lite':
            return folder_lock(path.absolute().parent, 'mmvlforge index', path.name)
        return nullcontext()

    def _model(self) -> RetrievalInferencer:
        if self.ask is None:
            raise ValueError(f'{self.uri}: to encode what is asked a model is needed')
        return self.ask

    def add(
        self,
        source: str,
        batch_size: int = 16,
        workers: int | None = None,
        block: int = 256,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Added:
        """Put the pictures of a source into the index. What is known already is not encoded again.

        Killed at any time and called again, it ends as if it had not been: each block is written whole, and a picture
        is known by its file's SHA-256. Files of equal bytes are one picture with several paths. A file that is another
        one than when it was added takes its path with it.

        Args:
            source: See :func:`mmvlforge.apis.index_sources.read_source`.
            batch_size: Pictures that go through the model together.
            workers: Processes that decode pictures; 0 does it in this one. By default as many as there are cores, but
                four at the most.
            block: Pictures that are written together.
            progress: Called with how many records are done.

        Raises:
            ValueError: The source is broken as a whole, or the index is in use.
        """
        ask = self._model()
        with self._lock():
            work = _Work(self, read_source(source), block, progress)
            for ready in prepared_batches(ask, work.unknown(), batch_size, workers):
                for item, _, result in ask.answered(ready):
                    work.take(result['id'], result, item.picture if item else None)
            work.write()
            self.store.finish()
        return Added(work.records, work.new, work.changed, work.removed, work.left_out)

    def search(
        self,
        text: str | None = None,
        image: ImageSource | None = None,
        topk: int = 10,
        where: str | None = None,
    ) -> list[Found]:
        """The pictures that fit best, the best first.

        Args:
            text: Words.
            image: A picture. With words too, what is looked for is the sum of both vectors.
            topk: How many.
            where: Condition on columns, see :func:`mmvlforge.apis.index_filter`.

        Raises:
            ValueError: There is nothing to look for, or the picture, the words or the condition cannot be read.
        """
        if text is None and image is None:
            raise ValueError('give words, a picture or both to look for')
        condition = parse_filter(where) if where else None
        return self.store.search(self.vector(text, image)[None], topk, condition)[0]

    def vector(self, text: str | None = None, image: ImageSource | None = None) -> np.ndarray:
        """What is looked for, float32 ``(D,)`` of length 1."""
        ask = self._model()
        parts = [ask.encode_texts([text])[0]] if text is not None else []
        if image is not None:
            parts.append(ask.encode_images([Query(image)])[0])
        total = np.sum(parts, axis=0)
        return (total / np.linalg.norm(total)).astype(np.float32)

    def delete(self, names: Sequence[str]) -> int:
        """Remove pictures, told by a path or an id; returns how many. The files stay.

        Raises:
            ValueError: One is not there.
        """
        with self._lock():
            ids: list[str] = []
            for name in names:
                # Milvus takes ids into an expression as they are.
                found = list(self.store.get([name])) if re.fullmatch('[0-9a-f]{64}', name) else []
                found = found or [entry.id for entry in self.store.at([name, str(Path(name).absolute())])]
                if not found:
                    raise ValueError(f'{name}: is no picture of {self.uri}; nothing was removed')
                ids += found
            ids = list(dict.fromkeys(ids))
            self.store.delete(ids)
        return len(ids)

    def gone(self) -> list[str]:
        """Ids of pictures of which no file is left."""
        return [
            entry.id for entries, _ in self.store.rows() for entry in entries if not any(map(lies_there, entry.paths))
        ]

    def recall(self, sample: int = 100, topk: int = 10, seed: int = 0) -> float:
        """Share, 0 to 1, of the nearest pictures that a search finds: for pictures of the index, against exact search.

        Args:
            sample: How many pictures are looked for.
            topk: How many nearest count.
            seed: Draws them.
        """
        count = self.store.count()
        if not count:
            raise ValueError(f'{self.uri}: is empty')
        drawn = np.random.default_rng(seed).choice(count, min(sample, count), replace=False)
        start, queries = 0, []
        for entries, vectors in self.store.rows():
            queries.append(vectors[drawn[(drawn >= start) & (drawn < start + len(entries))] - start])
            start += len(entries)
        looked = np.concatenate(queries)
        ids: list[str] = []
        best: np.ndarray = np.zeros((len(looked), 0), np.float32)
        names: np.ndarray = np.zeros((len(looked), 0), np.int64)
        for entries, vectors in self.store.rows():
            scores = np.concatenate([best, looked @ vectors.T], 1)
            rows = np.concatenate([names, np.tile(np.arange(len(ids), len(ids) + len(entries)), (len(looked), 1))], 1)
            ids += [entry.id for entry in entries]
            kept = np.argsort(-scores, 1, kind='stable')[:, :topk]
            best, names = np.take_along_axis(scores, kept, 1), np.take_along_axis(rows, kept, 1)
        found = self.store.search(looked, topk)
        hits = sum(
            len({ids[i] for i in row} & {hit.entry.id for hit in hits}) / len(row) for row, hits in zip(names, found)
        )
        return hits / len(looked)


class _Work:
    """The records of a source on their way into an index."""

    def __init__(
        self, index: PictureIndex, source: Iterator[Source], block: int, progress: Callable[[int], None]
    ) -> None:
        self.store, self.source, self.block, self.progress = index.store, source, block, progress
        self.records = self.new = self.changed = self.removed = 0
        self.left_out: list[str] = []
        self.waiting: dict[str, Entry] = {}  # not written yet
        self.vectors: dict[str, np.ndarray] = {}  # of those that are encoded
        self.written: dict[str, Entry] = {}  # since what is known was looked up

    def unknown(self) -> Iterator[Query]:
        """What must be encoded; all else is done on the way."""
        while chunk := list(islice(self.source, _CHUNK)):
            hashed = [(record, self._hash(record)) for record in chunk]
            ids = list(dict.fromkeys(id for _, id in hashed if id))
            self.written = {}
            known = self.store.get(ids)
            before = dict(known)
            self._moved({record.path: id for record, id in hashed if id})
            for record, id in hashed:
                self.records += 1
                if not id:
                    continue
                there = known.get(id) or self.written.get(id)
                if there is not None:
                    known[id] = self._merged(there, record)
                    before.setdefault(id, there)
                elif id in self.waiting:
                    self.waiting[id] = self._merged(self.waiting[id], record)
                elif (first := self._merged(Entry(id, [], [], {}), record)).paths:
                    self.waiting[id] = first
                    yield Query(record.path if record.data is None else record.data, None, id)  # type: ignore[arg-type]
            changed = [entry for id, entry in known.items() if entry != before[id]]
            self.store.update(changed)
            self.changed += len(changed)
            self.progress(self.records)

    def _hash(self, record: Source) -> str:
        """The id of a record, '' of one that cannot be used."""
        if record.problem:
            self.left_out.append(one_line(record.problem))
            return ''
        try:
            data = picture_bytes(record.path) if record.data is None else record.data
        except (UnusableImageError, ValueError) as error:
            self.left_out.append(one_line(str(error)))
            return ''
        return hashlib.sha256(data).hexdigest()

    def _moved(self, places: dict[str, str]) -> None:
        """Take paths from pictures that do not lie there any more."""
        for entry in self.store.at(list(places)):
            paths = [path for path in entry.paths if places.get(path, entry.id) == entry.id]
            if not paths:
                self.store.delete([entry.id])
                self.removed += 1
            elif paths != entry.paths:
                self.store.update([entry._replace(paths=paths)])
                self.changed += 1

    def _merged(self, entry: Entry, record: Source) -> Entry:
        """A picture with one more record; without, if that would be more than a store can hold."""
        captions = [record.caption] if record.caption and record.caption not in entry.captions else []
        paths = [record.path] if record.path not in entry.paths else []
        # Of several records of a picture the last one that names a column counts.
        fields = {**entry.fields, **record.fields}
        merged = Entry(entry.id, [*entry.paths, *paths], [*entry.captions, *captions], fields)
        size = len(json.dumps(merged[1:], ensure_ascii=False).encode()) if merged != entry else 0
        if size > _MOST:
            told = f'{record.path}: paths, captions and columns of this picture take {size} bytes, at most {_MOST} fit'
            self.left_out.append(one_line(told))
            return entry
        return merged

    def take(self, id: str, result: dict, picture: Picture | None) -> None:
        """Keep the vector of a picture, or say why there is none."""
        if 'error' in result or picture is None or picture.sha256 != id:
            reason = result.get('error', 'was changed while it was read')
            path = self.waiting.pop(id).paths[0]
            self.left_out.append(one_line(reason if path in reason else f'{path}: {reason}'))
            return
        self.vectors[id] = np.array(result['image_embedding'], np.float32)
        if len(self.vectors) >= self.block:
            self.write()

    def write(self) -> None:
        """Write what is encoded."""
        entries = {id: self.waiting.pop(id) for id in self.vectors}
        if entries:
            self.store.put(list(entries.values()), np.stack(list(self.vectors.values())))
        self.new += len(entries)
        self.written.update(entries)
        self.vectors = {}
        self.progress(self.records)


def _made_by(ask: RetrievalInferencer) -> dict[str, dict]:
    """What an index must have been made by, with fingerprints."""
    cfg = ask.trained.cfg.to_dict()
    return dict(
        model=ask.trained.describe(),  # its weights
        settings=_fingerprint('model', cfg['model']),  # which of two encoders answers, how they are projected
        preprocessing=_fingerprint('test pipeline', cfg['test_dataloader']['dataset'].get('pipeline', [])),
    )


def _fingerprint(name: str, settings: Any) -> dict[str, str]:
    return dict(name=name, fingerprint=text_fingerprint(json.dumps(_lasting(settings), sort_keys=True, default=str)))


def _lasting(value: Any) -> Any:
    """Settings without how weights began, and without the folders that files lie in, which may be moved."""
    if isinstance(value, dict):
        return {key: _lasting(inner) for key, inner in value.items() if key != 'init_cfg'}
    if isinstance(value, str):
        return value.rpartition('/')[2]
    return [_lasting(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def asked_with(uri: str, collection: str = 'mmvlforge', option: str = '--model') -> str:
    """Name of the model that an index was built with, if it is one of ours.

    Any other must be given by whoever asks: a model is a config, which runs, and what an index says is data.

    Args:
        uri: The index.
        collection: Name of the collection, of Milvus alone.
        option: What gives it on a command line.

    Raises:
        ValueError: There is no index, or it was built with another model.
    """
    about = PictureIndex(uri, collection=collection).about
    name = about.get('named')
    if not isinstance(name, str) or name not in NAMED:
        made = f'{about["model"]["name"]} (fingerprint {about["model"]["fingerprint"]})'
        raise ValueError(f'{uri}: was built with the model {made}; say where it lies: {option} M')
    return name


def known_pictures(
    index: PictureIndex, image: ImageSource, candidates: int = 20, nearly: float = NEARLY
) -> list[KnownPicture]:
    """Whether an index knows a picture, and with which captions: the same picture with another one is a common fake.

    Args:
        index: The index.
        image: The picture.
        candidates: How many of the nearest are looked at, pixel by pixel; those whose files are gone cannot be.
        nearly: From this :func:`mmvlforge.evaluation.near_copies.likeness` on two are held for one.

    Returns:
        The very file first, then the most alike.

    Raises:
        ValueError: The picture cannot be read.
    """
    picture = Picture(image, index._model().max_pixels)
    same = [KnownPicture('same', 1.0, entry) for entry in index.store.get([picture.sha256]).values()]
    seen = picture.rgb()
    found = []
    for hit in index.search(image=image, topk=candidates):
        if hit.entry.id == picture.sha256:
            continue
        try:
            other = Picture(picture_bytes(place_of(hit.entry.paths)), picture.max_pixels).rgb()
        except ValueError:
            continue
        alike = likeness(seen, other)
        if alike >= nearly:
            found.append(KnownPicture('nearly', round(alike, 3), hit.entry))
    return same + sorted(found, key=lambda known: -known.likeness)
