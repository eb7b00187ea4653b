"""``mmvlforge align``: a dual encoder fitted to one's own captions, without gradients."""

import sys
from typing import Annotated

import typer

from mmvlforge.cli.output import print_table, read_settings
from mmvlforge.cli.progress import progress

__all__ = ['align']

Reader = Annotated[
    list[str] | None,
    typer.Option(
        metavar='KEY=VALUE ...',
        help='format of the captions and its settings, such as type=csv images=train.txt (default: told by the file)',
    ),
]


def align(
    captions: Annotated[str, typer.Argument(help='csv with image,caption, or any format of docs/data.md')],
    *,
    out: Annotated[str, typer.Option(metavar='DIR', help='folder to write the model to, for any --model')],
    images: Annotated[str | None, typer.Option(metavar='DIR', help='pictures (default: beside the captions)')] = None,
    reader: Reader = None,
    model: Annotated[
        str, typer.Option(metavar='M', help='folder of a dual encoder, or starter: requirements/starter.txt')
    ] = 'starter',
    test: Annotated[str | None, typer.Option(metavar='CAPTIONS', help='measure on this file too')] = None,
    test_images: Annotated[
        str | None, typer.Option(metavar='DIR', help='pictures of --test (default: those of --images)')
    ] = None,
    test_reader: Reader = None,
    seed: Annotated[int, typer.Option(min=0, help='draws the pictures that are held out')] = 0,
    device: Annotated[str | None, typer.Option(help='such as cuda or cpu (default: a GPU if there is one)')] = None,
) -> None:
    """Fit a dual encoder to your captions in closed form: recall before and after, and a model in a folder.

    Its penalty is chosen on a tenth of the pictures. Nothing is trained by gradients: after the pictures are encoded it
    takes seconds.
    """
    for name, value in (('--test-images', test_images), ('--test-reader', test_reader)):
        if value and not test:
            raise typer.BadParameter(f'{name} is of --test, which is not given')
    from mmvlforge.apis.aligning import Captions, align

    of = Captions(captions, images, read_settings('--reader', reader))
    of_test = Captions(test, test_images or images, read_settings('--test-reader', test_reader)) if test else None
    with progress('pictures read and encoded') as tell:
        found = align(of, out, model, of_test, seed=seed, device=device, progress=tell)
    print(found.fit)
    columns = {f'{len(found.fit.held_out)} held out': found.held_out}
    if found.test is not None:
        columns['test'] = found.test
    head = ['metric', *(f'{name}, {when}' for name in columns for when in ('before', 'after'))]
    pairs = list(columns.values())
    print_table(head, [[name, *(side[name] for pair in pairs for side in pair)] for name in pairs[0][0]])
    before, after = (score['RSUM'] for score in found.held_out)
    if after < before:
        print('The model found more before, on pictures that this fit has not seen: keep it as it was.')
    print(f'written: {out}')
    for fault in found.left_out:
        print(f'left out: {fault}', file=sys.stderr)
    if found.left_out:
        raise typer.Exit(3)
