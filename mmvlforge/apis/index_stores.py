"""Where an index keeps its pictures: an exact store in a folder, or Milvus, embedded in a file or a cluster.

A picture is known by the SHA-256 of its file, so that to write it again changes nothing: whoever is killed does the
work of the last block again and neither loses nor doubles anything.
"""

import functools
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mmvlforge.annotations.json_files import parse_json, read_json_object, write_json
from mmvlforge.apis.index_filter import Condition

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

    def search(self, vectors: np.ndarray, topk: int, condition: Condition | None = None) -> list[list[Found]]:
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
    that was cut off is taken back when the store is opened to write.

    Args:
        folder: The folder: ``about.json``, ``vectors.f32`` and ``entries.jsonl``.
    """

    kind = 'exact'

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        if self.folder.is_file():
            raise ValueError(f'{folder}: is a file; an exact index is a folder, one of Milvus Lite ends in .db')
        self.entries: dict[str, tuple[int, Entry]] = {}
        self.places: dict[str, set[str]] = {}
        self.num_rows = 0
        self.dims = 0
        self._vectors: np.ndarray | None = None
        self._all: tuple[np.ndarray, list[Entry]] | None = None
        found = self.about()
        if found is not None:
            self.dims = found['dims']
            self._replay()

    def about(self) -> dict | None:
        path = self.folder / 'about.json'
        return read_json_object(path) if path.is_file() else None

    def create(self, about: dict, dims: int) -> None:
        if self.folder.is_dir() and any(p.name != '.mmvlforge.lock' for p in self.folder.iterdir()):
            raise ValueError(f'{self.folder}: holds other files; give a folder that holds nothing yet')
        self.folder.mkdir(parents=True, exist_ok=True)
        self.dims = dims
        new = self.folder / 'about.json.new'
        write_json(new, dict(about, dims=dims))
        new.replace(self.folder / 'about.json')

    def _replay(self) -> None:
        log, vectors = self.folder / 'entries.jsonl', self.folder / 'vectors.f32'
        self.num_rows = vectors.stat().st_size // (4 * self.dims) if vectors.is_file() else 0
        if not log.is_file():
            return
        with open(log, 'rb') as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b'\n'):
                    self._apply(parse_json(line.decode(), log, number), f'{log}:{number}')

    def _apply(self, line: Any, where: str) -> None:
        try:
            id, row = line['id'], line['row']
            self._forget(id)
            if row is None:
                return
            entry = Entry(id, list(line['paths']), list(line['captions']), dict(line['fields']))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{where}: is no line of an index: {error!r}') from error
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
        self._all = None
        for line in lines:
            self._apply(line, str(log))

    def get(self, ids: Sequence[str]) -> dict[str, Entry]:
        return {id: self.entries[id][1] for id in ids if id in self.entries}

    def at(self, paths: Sequence[str]) -> list[Entry]:
        ids = dict.fromkeys(id for path in paths for id in sorted(self.places.get(path, ())))
        return [self.entries[id][1] for id in ids]

    def put(self, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        with open(self.folder / 'vectors.f32', 'ab') as file:
            file.truncate(self.num_rows * 4 * self.dims)
            file.write(np.ascontiguousarray(vectors, '<f4').tobytes())
            file.flush()
            os.fsync(file.fileno())
        first, self.num_rows, self._vectors = self.num_rows, self.num_rows + len(entries), None
        self._write([dict(entry._asdict(), row=first + i) for i, entry in enumerate(entries)])

    def update(self, entries: Sequence[Entry]) -> None:
        self._write([dict(entry._asdict(), row=self.entries[entry.id][0]) for entry in entries])

    def delete(self, ids: Sequence[str]) -> None:
        self._write([dict(id=id, row=None) for id in ids if id in self.entries])

    def search(self, vectors: np.ndarray, topk: int, condition: Condition | None = None) -> list[list[Found]]:
        rows, entries = self._known(condition)
        whole = 2 * len(rows) > self.num_rows  # then no vector is copied
        matrix = self._matrix() if whole else self._matrix()[rows]
        found = []
        for vector in np.asarray(vectors, np.float32):
            scores = (matrix @ vector)[rows] if whole else matrix @ vector
            best = np.argpartition(-scores, topk)[:topk] if topk < len(scores) else np.arange(len(scores))
            best = best[np.lexsort((rows[best], -scores[best]))]
            found.append([Found(entries[i], float(scores[i])) for i in best])
        return found

    def _known(self, condition: Condition | None) -> tuple[np.ndarray, list[Entry]]:
        """Rows of vectors, and what they are of: all that there are, or those that fulfil a condition."""
        if self._all is None:
            known = list(self.entries.values())
            self._all = np.array([row for row, _ in known], np.int64), [entry for _, entry in known]
        rows, entries = self._all
        if condition is None:
            return rows, entries
        held = [i for i, entry in enumerate(entries) if condition.holds(entry.fields)]
        return rows[held], [entries[i] for i in held]

    def finish(self) -> None:
        pass

    def _matrix(self) -> np.ndarray:
        if self._vectors is None:
            path = self.folder / 'vectors.f32'
            self._vectors = np.memmap(path, '<f4', 'r', shape=(self.num_rows, self.dims))
        return self._vectors

    def count(self) -> int:
        return len(self.entries)

    def rows(self, block: int = 1000) -> Iterator[tuple[list[Entry], np.ndarray]]:
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
    """A collection of Milvus, and beside it a small one ``NAME_about`` that says what is in it.

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
        logging.getLogger('pymilvus').setLevel(logging.CRITICAL)  # what goes wrong is told by an error, once
        self.uri = uri
        self.kind = 'Milvus Lite' if uri.endswith('.db') else 'Milvus'
        self.name = collection
        if self.kind == 'Milvus Lite':
            Path(uri).absolute().parent.mkdir(parents=True, exist_ok=True)
        with self._told():
            self.client = MilvusClient(uri, token=os.environ.get('MILVUS_TOKEN', ''))
            self.there = self.client.has_collection(self.name)
            if self.there and self.client.has_collection(self._about):
                for name in (self.name, self._about):
                    self.client.load_collection(name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Milvus's errors as ours."""
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except (MilvusException, ImportError, OSError) as error:
            raise ValueError(f'{self.uri}: Milvus says: {str(error).splitlines()[0]:.300}') from error

    @property
    def _about(self) -> str:
        return f'{self.name}_about'

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
        if self.client.has_collection(self._about):
            self.client.drop_collection(self._about)
        self._collection(self._about, 2, ['about'])  # there is none without a vector, nor one of fewer dimensions
        self.client.upsert(self._about, [dict(id='about', vector=[1.0, 0.0], about=dict(about, dims=dims))])
        self._collection(self.name, dims, ['paths', 'captions', 'fields'])
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
        found = self.client.query(self.name, ids=list(ids), output_fields=list(_OUT)) if ids else []
        return {row['id']: _entry(row) for row in found}

    @_plainly
    def at(self, paths: Sequence[str]) -> list[Entry]:
        condition = f'json_contains_any(paths, {json.dumps(list(paths), ensure_ascii=False)})'
        found = self.client.query(self.name, filter=condition, output_fields=list(_OUT)) if paths else []
        return [_entry(row) for row in found]

    @_plainly
    def put(self, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        if entries:
            rows = [dict(entry._asdict(), vector=vector.tolist()) for entry, vector in zip(entries, vectors)]
            self.client.upsert(self.name, rows)

    @_plainly
    def update(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        found = self.client.query(self.name, ids=[entry.id for entry in entries], output_fields=['vector'])
        vectors = {row['id']: row['vector'] for row in found}
        self.client.upsert(self.name, [dict(e._asdict(), vector=list(map(float, vectors[e.id]))) for e in entries])

    @_plainly
    def delete(self, ids: Sequence[str]) -> None:
        if ids:
            self.client.delete(self.name, ids=list(ids))

    @_plainly
    def search(self, vectors: np.ndarray, topk: int, condition: Condition | None = None) -> list[list[Found]]:
        found = self.client.search(
            self.name,
            data=[vector.tolist() for vector in np.asarray(vectors, np.float32)],
            limit=topk,
            filter=condition.milvus if condition else '',
            output_fields=list(_OUT),
        )
        return [
            [Found(_entry(dict(hit['entity'], id=hit['id'])), float(hit['distance'])) for hit in hits] for hits in found
        ]

    @_plainly
    def finish(self) -> None:
        self.client.flush(self.name)

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


def _entry(row: dict) -> Entry:
    return Entry(row['id'], list(row['paths']), list(row['captions']), dict(row['fields']))
