"""Rounds of seeded damage, and what may come of a round.

Each round makes an input of its own from ``(target, seed, round)``, gives it to one of our readers, and must end in
one of OUTCOMES. Anything else, a wrong result or another exception, fails; the input stays in the folder that the
message names, and the message says how to run that round alone. Settings, of the environment:

    MMVLFORGE_FUZZ_SEED      another number, other inputs (0)
    MMVLFORGE_FUZZ_SECONDS   go on so long for each target, instead of the few rounds of a usual test run
    MMVLFORGE_FUZZ_FIRST, MMVLFORGE_FUZZ_ROUNDS   the rounds to run, to replay one
"""

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

OUTCOMES = ('right', 'error', 'skipped')

SEED = int(os.environ.get('MMVLFORGE_FUZZ_SEED', 0))
SECONDS = float(os.environ.get('MMVLFORGE_FUZZ_SECONDS', 0))
FIRST = int(os.environ.get('MMVLFORGE_FUZZ_FIRST', 0))
ROUNDS = int(os.environ.get('MMVLFORGE_FUZZ_ROUNDS', 0))


def campaign(target: str, folder: Path, rounds: int, check: Callable[[random.Random, Path], str]) -> None:
    """Run a target's rounds.

    Args:
        target: Its name; the test must be called ``test_<target>``.
        folder: Where inputs are written; emptied before each round.
        rounds: How many make a usual test run.
        check: Makes an input in a folder, reads it, and returns what came of it; asserts that it is right.
    """
    found: Counter[str] = Counter()
    end = time.monotonic() + SECONDS
    for number in count(FIRST):
        if number - FIRST >= (ROUNDS or rounds) and (ROUNDS or not SECONDS or time.monotonic() > end):
            break
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            outcome = check(random.Random(f'{target} {SEED} {number}'), folder)
        except Exception as error:
            settings = f'MMVLFORGE_FUZZ_SEED={SEED} MMVLFORGE_FUZZ_FIRST={number} MMVLFORGE_FUZZ_ROUNDS=1'
            again = f'{settings} python -m pytest tests/fuzz -k test_{target}'
            raise AssertionError(
                f'{target}, seed {SEED}, round {number}: {type(error).__name__}: {str(error)[:2000]}\n'
                f'the input is in {folder}; to run this round alone: {again}'
            ) from error
        assert outcome in OUTCOMES
        found[outcome] += 1
    print(f'{target}: {sum(found.values())} rounds, {dict(found)}')
    if not ROUNDS:  # damage that never hurts, or always, would show nothing
        assert found['right'] and found['error'] + found['skipped']


def told(error: Exception, *names: object) -> str:
    """Check that an error is one that a user can act on: a line that says where. Returns the outcome.

    Args:
        error: A ValueError or an OSError; any other was not caught and fails.
        *names: What each of its lines must hold: the file, for one.
    """
    lines = str(error).split('\n')
    for line in lines:
        assert line.isprintable(), f'control characters in the message: {line!a}'
        assert 10 < len(line) < 1500, f'a message of {len(line)} letters: {line[:200]!a} ...'
        assert all(str(name) in line for name in names) or line.startswith('... and '), f'{names} not in: {line}'
    assert len(lines) <= 21
    return 'error'
