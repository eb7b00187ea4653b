"""``mmvlforge forge``: makers of data sets, and what they need."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmvlforge.cli.output import ForgeCommand, Stopped, new_app, print_table, read_settings
from mmvlforge.cli.progress import progress

__all__ = ['app']

app = new_app('make data sets: drawn by program, with every truth known, or from your own photos')

Out = Annotated[Path, typer.Argument(help='folder to write to')]
Seed = Annotated[int, typer.Option(help='the same seed gives the same bytes')]
Workers = Annotated[int, typer.Option(help='processes', show_default='one a core')]
Force = Annotated[bool, typer.Option('--force', help='replace a set made with other arguments')]
CORES = os.cpu_count() or 1


@app.command()
def news(
    out: Out,
    num: Annotated[int, typer.Option(help='training records')],
    seed: Seed = 0,
    num_val: Annotated[int, typer.Option(help='validation records')] = 300,
    num_test: Annotated[int, typer.Option(help='test records')] = 1200,
    workers: Workers = CORES,
    force: Force = False,
) -> None:
    """drawn news in the layout of DGM4, all nine classes: data/mini_dgm4 of the quick start"""
    from mmvlforge.forge.news import make_mini_set

    _make(make_mini_set, 'records', out, dict(train=num, val=num_val, test=num_test), seed, workers, force)


@app.command()
def captions(
    out: Out,
    num: Annotated[int, typer.Option(help='training pictures')],
    seed: Seed = 0,
    num_val: Annotated[int, typer.Option(help='validation pictures')] = 200,
    num_test: Annotated[int, typer.Option(help='test pictures')] = 500,
    workers: Workers = CORES,
    force: Force = False,
) -> None:
    """drawn scenes with five captions each, in the formats of the retrieval sets: data/mini_captions"""
    from mmvlforge.forge.captions import make_mini_set

    _make(make_mini_set, 'pictures', out, dict(train=num, val=num_val, test=num_test), seed, workers, force)


@app.command(cls=ForgeCommand)
def photos(
    captions: Annotated[Path, typer.Argument(help='captions of your photos, in any format that docs/data.md lists')],
    out: Out,
    seed: Seed = 0,
    image_root: Annotated[
        Path | None, typer.Option(help='folder of the photos', show_default="the captions' folder")
    ] = None,
    reader: Annotated[
        str | None, typer.Option(help='format of the captions, such as flickr8k', show_default='told by the file')
    ] = None,
    reader_options: Annotated[
        list[str] | None, typer.Option(metavar='KEY=VALUE ...', help="the reader's settings, such as images=train.txt")
    ] = None,
    faces: Annotated[Literal['haar', 'mtcnn', 'file'], typer.Option(help='who finds faces, or the captions')] = 'haar',
    min_face: Annotated[int, typer.Option(help='shorter side of a usable face, pixels')] = 20,
    max_side: Annotated[int, typer.Option(help='longer side of a written picture, pixels')] = 640,
    val: Annotated[float, typer.Option(help='share of the photos to validate on, without a list')] = 0.1,
    test: Annotated[float, typer.Option(help='share of the photos to test on, without a list')] = 0.1,
    val_list: Annotated[str | None, typer.Option(help='file with the names of photos to validate on')] = None,
    test_list: Annotated[str | None, typer.Option(help='file with the names of photos to test on')] = None,
    repeats: Annotated[int, typer.Option(help='how often each photo comes real and forged')] = 1,
    only_faces: Annotated[bool, typer.Option('--only-faces', help='leave photos without a usable face out')] = False,
    language_model: Annotated[
        str | None, typer.Option(help='folder of a masked language model that edits captions')
    ] = None,
    antonyms: Annotated[
        str | None, typer.Option(help="file of words to turn, 'old,young' a line", show_default='a list of ours')
    ] = None,
    sheet: Annotated[int, typer.Option(min=0, help='forgeries on the contact sheet')] = 12,
    workers: Workers = CORES,
    force: Force = False,
) -> None:
    """a detection set in the layout of DGM4 from your own captioned photos

    Faces are blended into their own picture again, captions swapped between similar photos, words turned into their
    opposites. Forgeries made by program are not a generator's fakes.
    """
    from mmvlforge.annotations import guess_reader
    from mmvlforge.forge.photos import NOTE, Settings, make_photo_set

    format = read_settings('--reader-options', reader_options, 'images=train.txt')
    format['type'] = reader or guess_reader(captions)
    settings = Settings(
        faces=faces,
        min_face=min_face,
        max_side=max_side,
        val=val,
        test=test,
        repeats=repeats,
        only_faces=only_faces,
        language_model=language_model,
        antonyms=antonyms,
    )
    lists = {split: path for split, path in (('val', val_list), ('test', test_list)) if path}
    root = image_root or captions.parent
    start = time.perf_counter()
    try:
        with progress('photos read and pictures written') as tell:
            made = make_photo_set(
                captions, out, root, format, seed, workers, force, settings, lists, sheet, progress=tell
            )
    except KeyboardInterrupt:
        raise Stopped(f'{out} is unfinished; the same command makes it anew') from None
    if made is None:
        print(f'{out} already holds this set.')
        return
    classes, left_out = made
    seconds, total = time.perf_counter() - start, sum(classes.values())
    print(f'Wrote {total} records to {out} in {seconds:.1f} s ({total / seconds:.0f} a second).')
    print_table(['class', 'records'], list(classes.items()))
    if left_out:
        print(f'{len(left_out)} left out, named in {out / "left_out.txt"}, the first: {left_out[0]}')
    print(NOTE)


def _make(
    make: Callable[..., bool], unit: str, out: Path, sizes: dict[str, int], seed: int, workers: int, force: bool
) -> None:
    """Make a set and say what was done."""
    start = time.perf_counter()
    try:
        with progress(f'{unit} drawn') as tell:
            written = make(out, sizes, seed, workers, force, tell)
    except KeyboardInterrupt:
        raise Stopped(f'{out} is unfinished; the same command makes it anew') from None
    if not written:
        print(f'{out} already holds this mini set.')
        return
    seconds, total = time.perf_counter() - start, sum(sizes.values())
    print(f'Wrote {total} {unit} to {out} in {seconds:.1f} s ({total / seconds:.0f} a second).')


@app.command()
def tokenizer(
    annotations: Annotated[Path, typer.Argument(help='annotation file with a field "text"')],
    out: Out,
    vocab_size: Annotated[int, typer.Option(help='most tokens, special ones included')] = 8000,
) -> None:
    """a small RoBERTa-like tokenizer, trained on captions: for models that start from nothing"""
    from mmvlforge.annotations import read_annotations
    from mmvlforge.forge.tokenizer import train_tokenizer

    records = read_annotations(annotations)
    for row, record in enumerate(records):
        if not isinstance(record.get('text'), str):
            raise ValueError(f"{annotations}: record {row} has no text in its field 'text'")
    train_tokenizer([record['text'] for record in records], out, vocab_size)
    print(f'wrote {out}')


@app.command()
def edit_quality(
    config: Annotated[str, typer.Argument(help='config with data_root and model.corruptor, such as vilem/vilem_mini')],
    split: Annotated[Literal['train', 'val', 'test'], typer.Option(help='whose captions are edited')] = 'test',
    seed: Annotated[int, typer.Option(help='seed of the edition')] = 0,
    examples: Annotated[int, typer.Option(min=0, help='edited captions to print')] = 10,
) -> None:
    """how good a config's edits of captions are

    Of drawn captions: how often an edited one is false for its picture, and which words are edited; "alike" is the
    share of edits that put a word of the same kind, such as a colour for a colour. Of real captions, those that the
    config is validated on: how plausible its language model finds the words that it has written.
    """
    from mmvlforge.config_files import load_config
    from mmvlforge.forge import edit_quality as quality

    def shown(before: list[str], after: list[str]) -> str:
        return ' '.join(new if old == new else f'[{old}->{new}]' for old, new in zip(before, after))

    cfg = load_config(config)
    if quality.of_real_captions(cfg):
        real = quality.edit_plausibility(cfg, seed)
        for before, after in real.changed[:examples]:
            print(shown(before, after))
        edits = sum(old != new for before, after in real.changed for old, new in zip(before, after))
        number = len(real.changed)
        print(f'{real.captions} captions, {number} edited, {edits / number:.2f} words each')
        print(
            f'mean log-probability: {real.written:.2f} of the words written, {real.original:.2f} of those that stood '
            f'there, {real.random:.2f} of random words'
        )
        return
    found = quality.edit_quality(cfg, split, seed)
    for (before, after), false in list(zip(found.changed, found.false))[:examples]:
        print(f'{"false" if false else "TRUE "}  {shown(before, after)}')
    number = len(found.changed)
    print(f'{found.captions} captions, {number} edited, {len(found.edits) / number:.2f} words each')
    print(f'false for their picture: {100 * sum(found.false) / number:.2f} %')
    print_table(['edited word', 'edits', 'alike %'], found.by_kind())
