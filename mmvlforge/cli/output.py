"""What the commands share: how they report a mistake, print numbers, and read arguments that take several values."""

import multiprocessing
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = [
    'CfgOptions',
    'ForgeCommand',
    'ForgeGroup',
    'Stopped',
    'end_workers',
    'hear_interrupt',
    'new_app',
    'print_table',
    'read_cfg_options',
    'read_settings',
]

_PACKAGE = str(Path(__file__).resolve().parents[1])

_SETTINGS = ('--cfg-options', '--reader', '--reader-options', '--test-reader')  # options that take several key=value

CfgOptions = Annotated[
    list[str] | None, typer.Option('--cfg-options', metavar='KEY=VALUE ...', help='settings over the config')
]


class Stopped(KeyboardInterrupt):
    """The user stopped a command; the message says what was kept and how to go on."""


class ForgeGroup(TyperGroup):
    """The root command: a user's mistake is one line on standard error and exit code 2, never a traceback."""

    def invoke(self, ctx) -> Any:
        """Run a command."""
        with warnings.catch_warnings():
            warnings.simplefilter('always', UserWarning)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except BrokenPipeError:  # who reads has enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
            except (ValueError, OSError) as error:
                if os.environ.get('MMVLFORGE_TRACEBACK'):  # for developers
                    raise
                print(f'error: {error}', file=sys.stderr)
                raise typer.Exit(2) from None
            except KeyboardInterrupt as error:
                end_workers()
                print(f'\nstopped. {error}'.rstrip(), file=sys.stderr)
                raise typer.Exit(130) from None


@contextmanager
def hear_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt also where somebody made another error of it, as MMEngine does in the midst of a save."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            cause = cause.__cause__ or cause.__context__
        raise


def end_workers() -> None:
    """End the processes of a command that was stopped: left alone, they would complain that nobody listens."""
    for child in multiprocessing.active_children():
        child.terminate()


def _show_warning(message, category, filename, *_, **__) -> None:
    """One line for a warning of ours; those of other packages do not stand before an answer."""
    if filename.startswith(_PACKAGE):
        print(f'warning: {message}', file=sys.stderr)


class ForgeCommand(TyperCommand):
    """A command whose options may take values as OpenMMLab's users write them.

    * ``--cfg-options a=1 b=2`` is ``--cfg-options a=1 --cfg-options b=2``, and so for every option of which a command
      takes several;
    * ``--model CONFIG CHECKPOINT`` is ``--model CONFIG --checkpoint CHECKPOINT``, and ``--model FOLDER`` stays;
    * ``--resume`` alone is ``--resume auto``.
    """

    def parse_args(self, ctx, args: list[str]) -> list[str]:
        """Spell such options out, then parse as usual."""
        own = {name for param in self.params for name in param.opts}
        several = {name for param in self.params if getattr(param, 'multiple', False) for name in param.opts}
        return super().parse_args(ctx, spell_out(args, own, several))


def spell_out(args: Sequence[str], own: set[str], several: Collection[str] = frozenset({'--cfg-options'})) -> list[str]:
    """Rewrite the options that :class:`ForgeCommand` names, of those that a command has.

    Args:
        args: What the user wrote.
        own: Names of the command's options.
        several: Those of them that take several values. After its first, a setting is told by its ``=``.
    """
    result: list[str] = []
    rest = list(args)
    while rest:
        name = rest.pop(0)
        if name.startswith('--model=') and '--checkpoint' in own:
            rest.insert(0, name.partition('=')[2])
            name = '--model'
        values: list[str] = []
        if name in own and name in several:
            settings = name in _SETTINGS
            while rest and not rest[0].startswith('-') and (not settings or not values or '=' in rest[0]):
                values.append(rest.pop(0))
            result += [part for value in values for part in (name, value)] or [name]
        elif name == '--model' and '--checkpoint' in own and rest:
            result += [name, rest.pop(0)]
            if rest and not rest[0].startswith('-') and not Path(result[-1]).is_dir() and not Path(rest[0]).is_dir():
                result += ['--checkpoint', rest.pop(0)]
        elif name == '--resume' and name in own and (not rest or rest[0].startswith('-')):
            result += [name, 'auto']
        elif name == '--':
            result += [name, *rest]
            break
        else:
            result.append(name)
    return result


def new_app(help: str) -> typer.Typer:
    """A group of commands.

    Args:
        help: What they are for, one line.
    """
    return typer.Typer(help=help, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def read_settings(option: str, items: Sequence[str] | None, example: str = 'type=csv') -> dict[str, str]:
    """Settings whose values are texts, taken as they stand.

    Args:
        option: Its name, for messages.
        items: ``key=value`` each.
        example: A right one.

    Raises:
        ValueError: One is not of this form.
    """
    settings = {}
    for item in items or ():
        key, equals, value = item.partition('=')
        if not equals or not key.strip():
            raise ValueError(f'{option} {item!r} must be key=value, such as {example}')
        settings[key] = value
    return settings


def read_cfg_options(items: Sequence[str] | None) -> dict:
    """Settings over a config, parsed as MMEngine's ``DictAction`` does.

    Args:
        items: As in :func:`read_settings`; a value may be a number, a list in brackets, a tuple in parentheses, ...

    Raises:
        ValueError: One is not of this form.
    """
    import argparse

    from mmengine.config import DictAction

    if not items:
        return {}
    option = '--cfg-options'
    read_settings(option, items, 'train_dataloader.batch_size=16')
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument('--settings', nargs='+', action=DictAction)
    try:
        return parser.parse_args(['--settings', *items]).settings
    except (AssertionError, argparse.ArgumentError) as error:
        raise ValueError(f'{option} {" ".join(items)}: {error}') from error


def print_table(head: Sequence[str], rows: Sequence[Sequence]) -> None:
    """Print rows in aligned columns, numbers with two decimals, None as a dash."""
    cells = [list(head)] + [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print('  '.join([line[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(line[1:], widths[1:])]))


def _cell(value) -> str:
    if value is None:
        return '-'
    return f'{value:.2f}' if isinstance(value, float) else str(value)
