"""``mmvlforge index``: an archive encoded once, and searched as often as you like."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mmvlforge.cli.asking import Bf16, Checkpoint, Device, Json
from mmvlforge.cli.output import ForgeCommand, new_app
from mmvlforge.cli.progress import progress

__all__ = ['app']

app = new_app('an index of pictures: encoded once, searched by words, by a picture, or by both (docs/search.md)')

Uri = Annotated[
    str,
    typer.Option(
        '--uri',
        metavar='URI',
        help='FILE.db (Milvus Lite), http://... (Milvus), or a folder (exact, needs no package)',
    ),
]
Collection = Annotated[str, typer.Option(metavar='NAME', help='collection of Milvus')]
Model = Annotated[
    str | None,
    typer.Option('--model', metavar='M', help='folder of a dual encoder, CONFIG CHECKPOINT, or starter'),
]
SourceArgument = Annotated[
    str, typer.Argument(metavar='SOURCE', help="folder, .csv or .jsonl with 'image', or tars such as '{000..009}.tar'")
]
BatchSize = Annotated[int, typer.Option(min=1, help='pictures that go through the model together')]
Workers = Annotated[
    int | None, typer.Option(min=0, help='processes that decode pictures', show_default='one a core, at most 4')
]
LeftOut = Annotated[str | None, typer.Option(metavar='FILE', help='file to name what was left out in, and why')]


@app.command(cls=ForgeCommand)
def build(
    source: SourceArgument,
    *,
    uri: Uri,
    model: Model = 'starter',
    checkpoint: Checkpoint = None,
    collection: Collection = 'mmvlforge',
    batch_size: BatchSize = 16,
    workers: Workers = None,
    left_out: LeftOut = None,
    device: Device = None,
    bf16: Bf16 = False,
) -> None:
    """an index of an archive; killed and called again it goes on where it was

    What is in the index already, known by its file's SHA-256, is not encoded again.
    """
    _add(source, uri, model or 'starter', checkpoint, collection, batch_size, workers, left_out, device, bf16, True)


@app.command(cls=ForgeCommand)
def add(
    source: SourceArgument,
    *,
    uri: Uri,
    model: Model = None,
    checkpoint: Checkpoint = None,
    collection: Collection = 'mmvlforge',
    batch_size: BatchSize = 16,
    workers: Workers = None,
    left_out: LeftOut = None,
    device: Device = None,
    bf16: Bf16 = False,
) -> None:
    """what is new or changed in an archive, into an index that is there"""
    _add(source, uri, model, checkpoint, collection, batch_size, workers, left_out, device, bf16, False)


def _add(
    source: str,
    uri: str,
    model: str | None,
    checkpoint: str | None,
    collection: str,
    batch_size: int,
    workers: int | None,
    left_out: str | None,
    device: str | None,
    bf16: bool,
    new: bool,
) -> None:
    from mmvlforge.apis.index import PictureIndex
    from mmvlforge.apis.index_sources import read_source

    records = read_source(source)
    total = None if '.t' in source else sum(1 for _ in records)
    index = PictureIndex(uri, _ask(uri, collection, model, checkpoint, device, bf16), collection, new)
    with progress('pictures') as tell:
        done = index.add(source, batch_size, workers, progress=lambda number: tell(number, total or number or 1))
    print(
        f'{done.records} records: {done.new} pictures new, {done.changed} changed, {done.removed} removed, '
        f'{len(done.left_out)} left out; {index.store.count()} in {uri}'
    )
    if left_out is not None:
        Path(left_out).write_text(''.join(f'{line}\n' for line in done.left_out), encoding='utf-8')
    else:
        for line in done.left_out:
            print(f'left out: {line}', file=sys.stderr)
    if done.left_out:
        raise typer.Exit(3)


@app.command(cls=ForgeCommand)
def search(
    words: Annotated[str | None, typer.Argument(metavar='WORDS', help='what to look for, in quotes')] = None,
    *,
    uri: Uri,
    image: Annotated[str | None, typer.Option(metavar='PICTURE', help='a picture to look for; with words too')] = None,
    topk: Annotated[int, typer.Option(min=1, help='pictures to find')] = 10,
    where: Annotated[
        str | None, typer.Option('--filter', metavar='CONDITION', help="on columns, such as 'year >= 2020'")
    ] = None,
    model: Model = None,
    checkpoint: Checkpoint = None,
    collection: Collection = 'mmvlforge',
    out: Annotated[str | None, typer.Option(metavar='PAGE', help='HTML page of what was found, to write')] = None,
    as_json: Json = False,
    device: Device = None,
    bf16: Bf16 = False,
) -> None:
    """the pictures of an index that fit words, a picture, or both

    There is a best picture for whatever is asked: a similarity says which picture comes before which, no more.
    """
    if words is None and image is None:
        raise typer.BadParameter('give words, --image or both')
    from mmvlforge.annotations.values import one_line
    from mmvlforge.apis.index import PictureIndex

    ask = _ask(uri, collection, model, checkpoint, device, bf16)
    index = PictureIndex(uri, ask, collection)
    found = index.search(words, image, topk, where)
    if as_json:
        hits = [dict(hit.entry._asdict(), similarity=hit.similarity) for hit in found]
        asked = dict(text=words, image=image, filter=where)
        told = dict(schema='mmvlforge.search/1', uri=uri, **asked, hits=hits, model=index.about['model'])
        print(json.dumps(told, ensure_ascii=False))
    else:
        for hit in found:
            caption = f'  {one_line(hit.entry.captions[0])}' if hit.entry.captions else ''
            print(f'{hit.similarity:.2f}  {one_line(hit.entry.paths[0])}{caption}')
    if not found:
        print('nothing fulfils the filter' if where else 'the index is empty', file=sys.stderr)
    if out is not None:
        from mmvlforge.apis.index_sources import place_of
        from mmvlforge.apis.pictures import draw_hits
        from mmvlforge.apis.retrieval import Hit
        from mmvlforge.reports.retrieval import write_found

        query = ' + '.join(part for part in (words, image) if part)
        shown = [Hit(place_of(hit.entry.paths), hit.similarity, ' / '.join(hit.entry.captions)) for hit in found]
        drawn = draw_hits({query: shown}, ask.max_pixels)
        write_found(out, f'Found among {index.store.count()} pictures', index.about['model']['name'], drawn, {})
        print(f'page: {out}', file=sys.stderr if as_json else sys.stdout)


@app.command(cls=ForgeCommand)
def delete(
    names: Annotated[list[str] | None, typer.Argument(metavar='PATH ...', help='paths or ids of pictures')] = None,
    *,
    uri: Uri,
    gone: Annotated[bool, typer.Option('--gone', help='all whose files are there no more')] = False,
    collection: Collection = 'mmvlforge',
) -> None:
    """pictures, out of an index; their files stay"""
    if not names and not gone:
        raise typer.BadParameter('give paths or ids of pictures, or --gone')
    from mmvlforge.apis.index import PictureIndex

    index = PictureIndex(uri, collection=collection)
    number = index.delete([*(names or ()), *(index.gone() if gone else ())])
    print(f'{number} removed, {index.store.count()} in {uri}')


@app.command(cls=ForgeCommand)
def info(
    *,
    uri: Uri,
    collection: Collection = 'mmvlforge',
    sample: Annotated[int, typer.Option(min=0, help='pictures to look for, to measure recall; 0 does not')] = 100,
    as_json: Json = False,
) -> None:
    """what an index holds, and how many of the nearest pictures its search finds"""
    from mmvlforge.apis.index import PictureIndex

    index = PictureIndex(uri, collection=collection)
    count, about = index.store.count(), index.about
    recall = index.recall(sample) if sample and count else None
    told = dict(
        uri=uri,
        store=index.store.kind,
        pictures=count,
        dimensions=about['dims'],
        model=about['model'],
        preprocessing=about['preprocessing']['fingerprint'],
        built=about['time'],
        recall_at_10=recall,
    )
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    model = about['model']
    print(f'{count} pictures in {uri} ({index.store.kind}), {about["dims"]} dimensions, built {about["time"]}')
    print(f'model {model["name"]}, fingerprint {model["fingerprint"]}, trained on {model["trained_on"]}')
    if recall is not None:
        print(f'of the 10 nearest pictures its search finds {100 * recall:.1f} % (of {min(sample, count)} looked for)')


def _ask(uri: str, collection: str, model: str | None, checkpoint: str | None, device: str | None, bf16: bool) -> Any:
    """The model that is given, or the starter model if the index was built with it."""
    from mmvlforge.apis import RetrievalInferencer
    from mmvlforge.apis.index import asked_with

    if model is None:
        model = asked_with(uri, collection)
    return RetrievalInferencer(model, checkpoint, device, bf16, show_progress=False)
