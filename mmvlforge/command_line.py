"""What the tools share: how they report errors and print numbers."""

import json
import os
import sys
import warnings
from typing import Callable, List

__all__ = ['print_table', 'run_command', 'write_json']


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
