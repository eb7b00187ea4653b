"""``mmvlforge check`` and ``proofread``: one picture and its caption. ``mmvlforge search``: a folder and words.

``mmvlforge check-batch``: a list of pairs.
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mmvlforge.annotations.values import one_line
from mmvlforge.cli.output import CfgOptions, Stopped, read_cfg_options
from mmvlforge.cli.progress import progress

__all__ = ['check', 'check_batch', 'proofread', 'search']

Model = Annotated[
    str, typer.Option('--model', metavar='M', help='folder of a model (or a work dir), or CONFIG CHECKPOINT')
]
Checkpoint = Annotated[str | None, typer.Option('--checkpoint', metavar='FILE', help='checkpoint of a --model CONFIG')]
Json = Annotated[bool, typer.Option('--json', help='print the answer as JSON')]
Save = Annotated[str | None, typer.Option(metavar='PICTURE', help='draw the answer, the format told by the ending')]
Device = Annotated[str | None, typer.Option(help='such as cuda or cpu (default: a GPU if there is one)')]
Bf16 = Annotated[bool, typer.Option('--bf16', help='run in bfloat16')]
Stability = Annotated[bool, typer.Option(help='judge the picture recompressed and resized too; three times the work')]
Provenance = Annotated[bool, typer.Option(help='read content credentials (C2PA) and EXIF')]


def check(
    image: Annotated[str, typer.Argument(help='picture file, or - for a caption alone')],
    caption: Annotated[str, typer.Argument(help='its caption, in quotes; - for a picture alone')] = '-',
    *,
    model: Model,
    checkpoint: Checkpoint = None,
    as_json: Json = False,
    save: Save = None,
    report: Annotated[
        str | None, typer.Option(metavar='PAGE', help='evidence report to write, HTML, with the JSON beside it')
    ] = None,
    date: Annotated[str | None, typer.Option(help='date of that report (default: now)')] = None,
    index: Annotated[
        str | None, typer.Option(metavar='URI', help='look the picture up in an index, see mmvlforge index')
    ] = None,
    index_model: Annotated[
        str | None, typer.Option(metavar='M', help='model of that index: folder of a dual encoder (default: starter)')
    ] = None,
    stability: Stability = True,
    provenance: Provenance = True,
    device: Device = None,
    bf16: Bf16 = False,
    cfg_options: CfgOptions = None,
) -> None:
    """Is a picture with its caption faked, how, where, which words?

    A score is what the model learnt from its training set; on pictures and captions of another kind it can be wrong
    with confidence. docs/check.md says what stands behind a verdict.
    """
    if image == caption == '-':
        raise typer.BadParameter('give a picture, a caption or both')
    if index is not None and image == '-':
        raise typer.BadParameter('--index looks a picture up: give one')
    from mmvlforge.apis import ManipulationInferencer

    options = read_cfg_options(cfg_options)
    settings = dict(stability=stability, provenance=provenance)
    inferencer = ManipulationInferencer(model, checkpoint, device, bf16, options, **settings)
    found, drawn = _ask(inferencer, image, caption, save, draws=report is not None)
    if index is not None:
        found['index_hits'] = _known(index, index_model, image, device, bf16)
    if report is not None:
        from mmvlforge.reports.evidence import write_evidence

        write_evidence(report, inferencer, found, drawn, date or time.strftime('%Y-%m-%d %H:%M:%S %z'))
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    if found['verdict']:
        print(f'{found["verdict"]}, P(fake) = {found["fake_score"]:.3f}')
    else:
        print('no verdict')
    for line in inferencer.explain(found):
        print(f'  {line}')
    for name, probability in found['types'].items():
        print(f'  {name.replace("_", " "):16} {"-" if probability is None else f"{probability:.3f}"}')
    if image != '-':
        print(f'manipulated region: {found["box"] or "none"} (x1, y1, x2, y2 in pixels)')
    if caption != '-':
        print(f'manipulated words: {" ".join(word["word"] for word in found["words"] if word["marked"]) or "none"}')
    for hit in found.get('index_hits', ()):
        how = 'the same file' if hit['kind'] == 'same' else f'nearly the same picture ({hit["likeness"]:.2f})'
        with_what = ' and '.join(f'"{one_line(text)}"' for text in hit['captions'])
        told = f', with the caption {with_what}' if with_what else ', without a caption'
        print(f'known to the index: {how}, {one_line(hit["path"])}{told}')
    if found.get('index_hits') == []:
        print('not known to the index')
    if report is not None:
        print(f'report: {report}')
    _warn(found)


def check_batch(
    pairs: Annotated[Path, typer.Argument(help='.csv or .jsonl file with image, caption and, if wanted, id')],
    *,
    model: Model,
    out: Annotated[Path, typer.Option(metavar='RESULTS', help='JSON Lines to write, or to go on with')],
    checkpoint: Checkpoint = None,
    batch_size: Annotated[int, typer.Option(min=1, help='pairs that go through the model together')] = 16,
    workers: Annotated[
        int | None, typer.Option(min=0, help='processes that read pictures', show_default='one a core, at most 4')
    ] = None,
    stability: Stability = True,
    provenance: Provenance = True,
    device: Device = None,
    bf16: Bf16 = False,
    cfg_options: CfgOptions = None,
) -> None:
    """Check a list of pairs: a line of JSON for each, in the order of the list.

    The same command goes on where it was stopped, in whatever way that was. A pair that cannot be used is a line with
    "error"; if there are such, the exit code is 3.
    """
    from mmvlforge.apis import ManipulationInferencer
    from mmvlforge.apis.batch import check_batch as run

    settings = dict(stability=stability, provenance=provenance)
    inferencer = ManipulationInferencer(model, checkpoint, device, bf16, read_cfg_options(cfg_options), **settings)
    try:
        with progress('pairs') as tell:
            found = run(inferencer, pairs, out, batch_size, workers, tell)
    except KeyboardInterrupt:
        raise Stopped(f'{out} holds what was done; the same command goes on from there') from None
    silent = found.total - sum(found.verdicts.values()) - found.unusable
    counts = {**found.verdicts, 'without verdict': silent, 'unusable': found.unusable}
    before = f' ({found.before} were there)' if found.before else ''
    print(f'{out}: {found.total} pairs{before}: {", ".join(f"{count} {name}" for name, count in counts.items())}')
    if found.unusable:
        raise typer.Exit(3)


def proofread(
    image: Annotated[str, typer.Argument(help='picture file')],
    caption: Annotated[str, typer.Argument(help='its caption, right or wrong, in quotes')],
    *,
    model: Model,
    checkpoint: Checkpoint = None,
    path: Annotated[str | None, typer.Option(help="'local' or 'global' (default: the model's first)")] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help='P(wrong) above which a word is marked')] = 0.5,
    as_json: Json = False,
    save: Save = None,
    device: Device = None,
    bf16: Bf16 = False,
    cfg_options: CfgOptions = None,
) -> None:
    """Which words of a caption are wrong for its picture, and what should stand there?"""
    from mmvlforge.apis import ProofreadInferencer

    options = dict(device=device, bf16=bf16, cfg_options=read_cfg_options(cfg_options))
    inferencer = ProofreadInferencer(model, checkpoint, path, threshold, **options)
    found, _ = _ask(inferencer, image, caption, save)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for word in found['words']:
        if word['marked']:
            others = ', '.join(f'{other["word"]} {other["score"]:.2f}' for other in word['corrections'])
            print(f'{word["word"]}: P(wrong) = {word["wrong_score"]:.2f}; rather {others}')
    if not found['wrong_words']:
        unjudged = len(found['unknown_words']) + found['unread_words']
        print('no word held for wrong' + (f'; {unjudged} words were not judged' if unjudged else ''))
    _warn(found)


def search(
    folder: Annotated[str, typer.Argument(help='folder of pictures; folders in it are searched too')],
    words: Annotated[list[str], typer.Argument(metavar='WORDS ...', help='what to look for, each query in quotes')],
    *,
    model: Annotated[
        str,
        typer.Option(
            metavar='M', help='folder of a dual encoder, or CONFIG CHECKPOINT, or starter: requirements/starter.txt'
        ),
    ] = 'starter',
    checkpoint: Checkpoint = None,
    topk: Annotated[int, typer.Option(min=1, help='pictures for each query')] = 6,
    out: Annotated[str | None, typer.Option(metavar='PAGE', help='HTML page of what was found, to write')] = None,
    device: Device = None,
    bf16: Bf16 = False,
    cfg_options: CfgOptions = None,
) -> None:
    """Which pictures of a folder show what the words say?

    There is a best picture for whatever is asked: a similarity says which picture comes before which, no more. All
    pictures are encoded at each call.
    """
    from mmvlforge.apis import RetrievalInferencer
    from mmvlforge.apis.retrieval import search_folder

    ask = RetrievalInferencer(model, checkpoint, device, bf16, read_cfg_options(cfg_options), show_progress=False)
    with progress('pictures') as tell:
        found = search_folder(ask, folder, words, topk, tell)
    for query, hits in found.hits.items():
        print(query)
        for hit in hits:
            print(f'  {hit.similarity:.2f}  {one_line(hit.path)}')
    _warn(found._asdict())
    for reason in found.left_out.values():
        print(f'left out: {one_line(reason)}', file=sys.stderr)
    if out is not None:
        from mmvlforge.apis.pictures import draw_hits
        from mmvlforge.reports.retrieval import write_found

        title = f'Found among {found.num_pictures} pictures'
        name = ask.trained.describe()['name']
        write_found(out, title, name, draw_hits(found.hits, ask.max_pixels), found.left_out)
        print(f'page: {out}')
    if found.left_out:
        raise typer.Exit(3)


def _ask(inferencer, image: str, caption: str, save: str | None, draws: bool = False) -> tuple[dict, Any]:
    """The answer to one pair, and as a picture if asked, which is also saved."""
    if not caption.strip():
        raise ValueError('the caption is empty; - stands for none')
    query = dict(image=None if image == '-' else image, caption=None if caption == '-' else caption)
    answer = inferencer(query, draw=draws or save is not None)
    drawn = next(iter(answer['visualization']), None)
    if save is not None and drawn is not None:
        from mmvlforge.visualization.drawing import save_picture

        save_picture(drawn, save)
    return answer['predictions'][0], drawn


def _known(uri: str, model: str | None, image: str, device: str | None, bf16: bool) -> list[dict]:
    """What an index knows of a picture."""
    from mmvlforge.apis import RetrievalInferencer
    from mmvlforge.apis.index import PictureIndex, asked_with, known_pictures

    ask = RetrievalInferencer(
        model or asked_with(uri, option='--index-model'), device=device, bf16=bf16, show_progress=False
    )
    return [known.flat() for known in known_pictures(PictureIndex(uri, ask), image)]


def _warn(found: dict) -> None:
    for warning in found['warnings']:
        print(f'warning: {warning}', file=sys.stderr)
