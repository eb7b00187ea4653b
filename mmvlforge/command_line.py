"""What the tools share: how they report errors and print numbers."""

import json
import os
import pickle
import re
import sys
import warnings
from contextlib import contextmanager
from typing import Callable, Iterator, List

__all__ = ['print_table', 'run_command', 'safe_checkpoints', 'write_json']


def run_command(run: Callable[..., None], *args) -> int:
    """Run a tool's work and return its exit code.

    2 means that a file or an argument is wrong, and standard error says which and how; warnings go there too.

    Args:
        run: The work; raises ValueError or OSError where the user has to change something.
        *args: What it is called with.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('always', UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(f'warning: {message}', file=sys.stderr)
        try:
            run(*args)
        except (ValueError, OSError) as error:
            print(f'error: {error}', file=sys.stderr)
            return 2
    return 0


@contextmanager
def safe_checkpoints(unsafe: bool = False) -> Iterator[None]:
    """Let no checkpoint run code while it is read.

    MMEngine allows tensors and the few types that it writes itself, but unpickles whatever else there is. Within this
    context PyTorch refuses to.

    Args:
        unsafe: Leave it as it is, for files of a trusted source.

    Raises:
        ValueError: A checkpoint holds other objects.
    """
    if unsafe:
        yield
        return
    name = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
    before = os.environ.get(name)
    os.environ[name] = '1'
    try:
        yield
    except pickle.UnpicklingError as error:
        reason = re.search(r'GLOBAL (\S+)|$', str(error))[1] or str(error).splitlines()[0]
        raise ValueError(
            f'a checkpoint was not read, because it holds more than tensors and could run code: {reason}. If you trust '
            'its source, save its state dict alone, or give train.py or test.py --unsafe-load'
        ) from None
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def print_table(head: List[str], rows: List[list]) -> None:
    """Print rows in aligned columns, numbers with two decimals, None as a dash."""
    cells = [head] + [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print('  '.join([line[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(line[1:], widths[1:])]))


def _cell(value) -> str:
    if value is None:
        return '-'
    return f'{value:.2f}' if isinstance(value, float) else str(value)


def write_json(path: str, content: dict) -> None:
    """Write a JSON file; its folder is made if need be. NaN is refused."""
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(content, file, indent=2, allow_nan=False)
        file.write('\n')
