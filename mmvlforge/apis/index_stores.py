"""Where an index keeps its pictures: an exact store in a folder, or Milvus, embedded in a file or a cluster.

A picture is known by the SHA-256 of its file, so that to write it again changes nothing: whoever is killed does the
work of the last block again and neither loses nor doubles anything.
"""

import functools
import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mmvlforge.annotations.json_files import parse_json, read_json_object, write_json
from mmvlforge.annotations.values import json_fault
from mmvlforge.apis.index_filter import Columns, Filter, split_columns
from mmvlforge.apis.inputs import batched

__all__ = ['Entry', 'ExactStore', 'Found', 'MilvusStore', 'Store', 'open_store']


class Entry(NamedTuple):
    """A picture of an index.

    Attributes:
        id: SHA-256 of its file.
        paths: Where it lies, absolute; of a picture in a tar ``TAR::MEMBER``.
        captions: All that it was given.
        fields: Further columns: texts, numbers, true or false.
    """

    id: str
    paths: list[str]
    captions: list[str]
    fields: dict[str, Any]


class Found(NamedTuple):
    """A picture that was found, and its similarity to what was looked for, -1 to 1."""

    entry: Entry
    similarity: float


class Store(Protocol):
    """What an index needs of a store; D dimensions, vectors of length 1."""

    kind: str

    def about(self) -> dict | None:
        """What was written by :meth:`create`, None if there is nothing yet."""

    def create(self, about: dict, dims: int) -> None:
        """Begin."""

    def get(self, ids: Sequence[str]) -> dict[str, Entry]:
        """Those of some pictures that are there."""

    def at(self, paths: Sequence[str]) -> list[Entry]:
        """Pictures that lie at one of some paths."""

    def put(self, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        """Write pictures, new or in place of those with their ids; vectors float32 ``(N, D)``."""

    def update(self, entries: Sequence[Entry]) -> None:
        """Write all but the vectors of pictures that are there."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove pictures."""

    def search(self, vectors: np.ndarray, topk: int, condition: Filter | None = None) -> list[list[Found]]:
        """The nearest pictures of each of ``(Q, D)`` vectors, the nearest first."""

    def finish(self) -> None:
        """Make ready to be searched what was written; it is safe without."""

    def count(self) -> int:
        """How many pictures there are."""

    def rows(self, block: int = 1000) -> Iterator[tuple[list[Entry], np.ndarray]]:
        """All pictures and their vectors, in blocks."""


def open_store(uri: str, collection: str = 'mmvlforge') -> Store:
    """A store by its address.

    Args:
        uri: ``FILE.db``: Milvus Lite. ``http://…`` or ``https://…``: a Milvus cluster, whose token is in the
            environment variable MILVUS_TOKEN. Anything else is the folder of an exact store.
        collection: Name of the collection, of Milvus alone.

    Raises:
        ValueError: pymilvus is not installed, or nobody answers there.
    """
    if uri.startswith(('http://', 'https://')) or uri.endswith('.db'):
        return MilvusStore(uri, collection)
    return ExactStore(uri)


class ExactStore:
    """Vectors in a flat file that is searched whole, and a log of what is known of each picture.

    The log has a line for each change; the last one of a picture counts. A line is written after its vector, and one
    that was cut off is taken back by the next writer. What another process writes is seen from then on.

    Args:
        folder: The folder: ``about.json``, ``vectors.f32`` and ``entries.jsonl``.
    """

    kind = 'exact'

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        if self.folder.is_file():
            raise ValueError(f'{folder}: is a file; an exact index is a folder, one of Milvus Lite ends in .db')
        found = self.about()
        self.dims = found['dims'] if found else 0
        self._start_over()
        self._catch_up()

    def _start_over(self) -> None:
        self.entries: dict[str, tuple[int, Entry]] = {}
        self.places: dict[str, set[str]] = {}
        self.num_rows = 0
        self._read = self._lines = self._log = 0  # bytes and lines of the log that are known, and which file it is
        self._vectors: np.ndarray | None = None
        self._all: tuple[np.ndarray, list[Entry]] | None = None
        self._columns: list[Columns] | None = None  # of all of these, as filters see them

    def about(self) -> dict | None:
        path = self.folder / 'about.json'
        if not path.is_file():
            return None
        found = read_json_object(path)
        if type(found.get('dims')) is not int or found['dims'] < 1:
            raise ValueError(f'{path}: dims is {found.get("dims")!r:.60}, must be a whole number of at least 1')
        return found

    def create(self, about: dict, dims: int) -> None:
        if self.folder.is_dir() and any(p.name != '.mmvlforge.lock' for p in self.folder.iterdir()):
            raise ValueError(f'{self.folder}: holds other files; give a folder that holds nothing yet')
        self.folder.mkdir(parents=True, exist_ok=True)
        self.dims = dims
        new = self.folder / 'about.json.new'
        write_json(new, dict(about, dims=dims))
        new.replace(self.folder / 'about.json')

    def _catch_up(self) -> None:
        """Read what was written to the log since; this process may not be the only one."""
        log, vectors = self.folder / 'entries.jsonl', self.folder / 'vectors.f32'
        if not log.is_file():
            return
        with open(log, 'rb') as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._log or status.st_size < self._read:  # another index was made here
                self._start_over()
                self._log = status.st_ino
            if status.st_size == self._read:
                return
            file.seek(self._read)
            lines = io.BytesIO(file.read()).readlines()
        # A vector is written before its line.
        self.num_rows = vectors.stat().st_size // (4 * self.dims) if vectors.is_file() else 0
        self._vectors = self._all = self._columns = None
        for line in lines:
            if line.endswith(b'\n'):
                self._read, self._lines = self._read + len(line), self._lines + 1
                where = f'{log}:{self._lines}'
                try:
                    text = line.decode()
                except UnicodeDecodeError as error:
                    raise ValueError(f'{where}: not UTF-8: {error.reason} at byte {error.start}') from error
                self._apply(parse_json(text, log, self._lines), where)

    def _apply(self, line: Any, where: str) -> None:
        try:
            id, row = line['id'], line['row']
            self._forget(id)
            if row is None:
                return
            entry = Entry(id, line['paths'], line['captions'], line['fields'])
            texts = [id, *entry.paths, *entry.captions]
        except (KeyError, TypeError) as error:
            raise ValueError(f'{where}: is no line of an index: {error!r:.200}') from error
        if not (type(row) is int and isinstance(entry.fields, dict) and all(isinstance(text, str) for text in texts)):
            raise ValueError(f'{where}: is no line of an index')
        if not entry.paths:
            raise ValueError(f'{where}: names no path')
        if fault := json_fault(list(entry)):
            raise ValueError(f'{where}: {fault}')
        if not 0 <= row < self.num_rows:
            raise ValueError(f'{where}: names row {row} of {self.num_rows} in vectors.f32, which was cut off')
        self.entries[id] = row, entry
        for path in entry.paths:
            self.places.setdefault(path, set()).add(id)

    def _forget(self, id: str) -> None:
        _, old = self.entries.pop(id, (0, None))
        for path in old.paths if old else ():
            self.places[path].discard(id)
            if not self.places[path]:
                del self.places[path]

    def _write(self, lines: Sequence[dict]) -> None:
        log = self.folder / 'entries.jsonl'
        with open(log, 'ab+') as file:
            size = file.seek(0, os.SEEK_END)
            if size:  # of a writer that was killed a part of a line may be left
                file.seek(max(0, size - 1))
                if file.read(1) != b'\n':
                    file.seek(0)
                    file.truncate(file.read().rfind(b'\n') + 1)
            file.write(b''.join(json.dumps(line, ensure_ascii=False).encode() + b'\n' for line in lines))
            file.flush()
            os.fsync(file.fileno())
        self._catch_up()

    def get(self, ids: Sequence[str]) -> dict[str, Entry]:
        self._catch_up()
        return {id: self.entries[id][1] for id in ids if id in self.entries}

    def at(self, paths: Sequence[str]) -> list[Entry]:
        self._catch_up()
        ids = dict.fromkeys(id for path in paths for id in sorted(self.places.get(path, ())))
        return [self.entries[id][1] for id in ids]

    def put(self, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        size = 4 * self.dims
        with open(self.folder / 'vectors.f32', 'ab') as file:
            first = file.tell() // size
            file.truncate(first * size)
            file.write(np.ascontiguousarray(vectors, '<f4').tobytes())
            file.flush()
            os.fsync(file.fileno())
        self._write([dict(entry._asdict(), row=first + i) for i, entry in enumerate(entries)])

    def update(self, entries: Sequence[Entry]) -> None:
        if entries:
            self._catch_up()
            self._write([dict(entry._asdict(), row=self.entries[entry.id][0]) for entry in entries])

    def delete(self, ids: Sequence[str]) -> None:
        self._catch_up()
        self._write([dict(id=id, row=None) for id in ids if id in self.entries])

    def search(self, vectors: np.ndarray, topk: int, condition: Filter | None = None) -> list[list[Found]]:
        rows, entries = self._known(condition)
        whole = 2 * len(rows) > self.num_rows  # then no vector is copied
        matrix = self._matrix() if whole else self._matrix()[rows]
        found = []
        for vector in np.asarray(vectors, np.float32):
            scores = (matrix @ vector)[rows] if whole else matrix @ vector
            if not np.isfinite(scores).all():
                raise ValueError(f'{self.folder / "vectors.f32"}: holds what are no numbers; it is damaged')
            best = np.argpartition(-scores, topk)[:topk] if topk < len(scores) else np.arange(len(scores))
            best = best[np.lexsort((rows[best], -scores[best]))]
            found.append([Found(entries[i], float(scores[i])) for i in best])
        return found

    def _known(self, condition: Filter | None) -> tuple[np.ndarray, list[Entry]]:
        """Rows of vectors, and what they are of: all that there are, or those that fulfil a condition."""
        self._catch_up()
        if self._all is None:
            known = list(self.entries.values())
            self._all = np.array([row for row, _ in known], np.int64), [entry for _, entry in known]
        rows, entries = self._all
        if condition is None:
            return rows, entries
        if self._columns is None:
            self._columns = [split_columns(entry.fields) for entry in entries]
        held = [i for i, columns in enumerate(self._columns) if condition.matches(columns)]
        return rows[held], [entries[i] for i in held]

    def finish(self) -> None:
        pass

    def _matrix(self) -> np.ndarray:
        if self._vectors is None:
            path = self.folder / 'vectors.f32'
            self._vectors = np.memmap(path, '<f4', 'r', shape=(self.num_rows, self.dims))
        return self._vectors

    def count(self) -> int:
        self._catch_up()
        return len(self.entries)

    def rows(self, block: int = 1000) -> Iterator[tuple[list[Entry], np.ndarray]]:
        self._catch_up()
        known = list(self.entries.values())
        for start in range(0, len(known), block):
            part = known[start : start + block]
            yield [entry for _, entry in part], np.array(self._matrix()[[row for row, _ in part]])


def _plainly(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: 'MilvusStore', *args: Any, **kwargs: Any) -> Any:
        with self._told():
            return method(self, *args, **kwargs)

    return call


class MilvusStore:
    """A collection of Milvus, one ``NAME_places`` of which path is whose, and one ``NAME_about`` of what it is all of.

    Args:
        uri: A file for Milvus Lite, or the address of a cluster.
        collection: Its name.
    """

    def __init__(self, uri: str, collection: str) -> None:
        # Processes that decode pictures are forked; they never call, and gRPC's care for them would only be in the way.
        os.environ.setdefault('GRPC_ENABLE_FORK_SUPPORT', '0')
        os.environ.setdefault('GRPC_VERBOSITY', 'NONE')
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise ValueError(f"{uri}: needs pymilvus: pip install 'mmvlforge[index]' ({error})") from error
        for name in ('pymilvus', 'milvus_lite'):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is told by an error, once
        self.uri = uri
        self.kind = 'Milvus' if '://' in uri else 'Milvus Lite'
        self.name = collection
        if self.kind == 'Milvus Lite':
            Path(uri).absolute().parent.mkdir(parents=True, exist_ok=True)
        with self._told():
            self.client = MilvusClient(uri, token=os.environ.get('MILVUS_TOKEN', ''))
            self.there = self.client.has_collection(self.name)
            if self.there and self.client.has_collection(self._about):
                for name in (self.name, self._places, self._about):
                    self.client.load_collection(name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Milvus's errors as ours."""
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except (MilvusException, ImportError, OSError) as error:
            told = f'Milvus says: {str(error).splitlines()[0]:.300}'
            if self.kind == 'Milvus Lite' and 'Open local milvus failed' in told:
                told = 'cannot be opened: another process has it, and Milvus Lite lets one in, or it is damaged'
            raise ValueError(f'{self.uri}: {told}') from error

    @property
    def _about(self) -> str:
        return f'{self.name}_about'

    @property
    def _places(self) -> str:
        return f'{self.name}_places'

    def about(self) -> dict | None:
        if not self.there:
            return None
        with self._told():
            known = self.client.has_collection(self._about)
            found = self.client.query(self._about, ids=['about'], output_fields=['about']) if known else []
        if not found:
            raise ValueError(f'collection {self.name!r} was not made by mmvlforge; name another: --collection')
        return dict(found[0]['about'])

    @_plainly
    def create(self, about: dict, dims: int) -> None:
        for name in (self._about, self._places):  # of a beginning that was cut short
            if self.client.has_collection(name):
                self.client.drop_collection(name)
        self._collection(self._about, len(_NONE), ['about'])
        self.client.upsert(self._about, [dict(id='about', vector=_NONE, about=dict(about, dims=dims))])
        self._collection(self._places, len(_NONE), ['picture'])
        self._collection(self.name, dims, ['paths', 'captions', 'fields', *Columns._fields])
        self.there = True

    def _collection(self, name: str, dims: int, fields: Sequence[str]) -> None:
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field('id', DataType.VARCHAR, max_length=64, is_primary=True)
        schema.add_field('vector', DataType.FLOAT_VECTOR, dim=dims)
        for field in fields:
            schema.add_field(field, DataType.JSON)
        params = MilvusClient.prepare_index_params()
        # Milvus Lite takes minutes to build another index of 100,000 pictures, each time that it is opened.
        kind = 'FLAT' if self.kind == 'Milvus Lite' else 'AUTOINDEX'
        params.add_index('vector', index_type=kind, metric_type='IP')
        self.client.create_collection(name, schema=schema, index_params=params, consistency_level='Strong')

    @_plainly
    def get(self, ids: Sequence[str]) -> dict[str, Entry]:
        return {row['id']: _entry(row) for row in self._rows(self.name, ids, _OUT)}

    def _rows(self, name: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[dict]:
        for part in batched(ids, 1000):
            yield from self.client.query(name, ids=part, output_fields=list(fields))

    def _owners(self, paths: Sequence[str]) -> dict[str, str]:
        """Of places, by their digests, the pictures that were put there last; no more need be there."""
        digests = [_digest(path) for path in dict.fromkeys(paths)]
        return {row['id']: row['picture']['id'] for row in self._rows(self._places, digests, ('id', 'picture'))}

    @_plainly
    def at(self, paths: Sequence[str]) -> list[Entry]:
        wanted = set(paths)
        known = self.get(sorted(set(self._owners(paths).values())))
        return [entry for entry in known.values() if wanted.intersection(entry.paths)]

    @_plainly
    def put(self, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        # Places first: of a picture without its place nobody would know that it has gone from there.
        places = {_digest(path): entry.id for entry in entries for path in entry.paths}
        for part in batched(places.items(), 1000):
            self.client.upsert(self._places, [dict(id=place, vector=_NONE, picture=dict(id=id)) for place, id in part])
        if entries:
            pairs = zip(entries, np.asarray(vectors, np.float32))
            self.client.upsert(
                self.name,
                [dict(e._asdict(), vector=v.tolist(), **split_columns(e.fields)._asdict()) for e, v in pairs],
            )

    @_plainly
    def update(self, entries: Sequence[Entry]) -> None:
        ids = [entry.id for entry in entries]
        vectors = {row['id']: row['vector'] for row in self._rows(self.name, ids, ('id', 'vector'))}
        self.put(entries, np.array([vectors[id] for id in ids], np.float32))

    @_plainly
    def delete(self, ids: Sequence[str]) -> None:
        paths = [path for entry in self.get(ids).values() for path in entry.paths]
        places = [place for place, owner in self._owners(paths).items() if owner in ids]
        for name, gone in ((self.name, ids), (self._places, places)):
            for part in batched(gone, 1000):
                self.client.delete(name, ids=part)

    @_plainly
    def search(self, vectors: np.ndarray, topk: int, condition: Filter | None = None) -> list[list[Found]]:
        found = self.client.search(
            self.name,
            data=[vector.tolist() for vector in np.asarray(vectors, np.float32)],
            limit=topk,
            filter=condition.milvus() if condition else '',
            output_fields=list(_OUT),
        )
        return [
            [Found(_entry(dict(hit['entity'], id=hit['id'])), float(hit['distance'])) for hit in hits] for hits in found
        ]

    @_plainly
    def finish(self) -> None:
        for name in (self.name, self._places):
            self.client.flush(name)

    @_plainly
    def count(self) -> int:
        return int(self.client.query(self.name, filter='', output_fields=['count(*)'])[0]['count(*)'])

    def rows(self, block: int = 1000) -> Iterator[tuple[list[Entry], np.ndarray]]:
        with self._told():
            iterator = self.client.query_iterator(self.name, batch_size=block, output_fields=[*_OUT, 'vector'])
            try:
                while rows := iterator.next():
                    yield [_entry(row) for row in rows], np.array([row['vector'] for row in rows], np.float32)
            finally:
                iterator.close()


_OUT = ('id', 'paths', 'captions', 'fields')
_NONE = [1.0, 0.0]  # Milvus wants a vector in each collection, and of no fewer dimensions


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode(errors='replace')).hexdigest()


def _entry(row: dict) -> Entry:
    return Entry(row['id'], list(row['paths']), list(row['captions']), dict(row['fields']))
