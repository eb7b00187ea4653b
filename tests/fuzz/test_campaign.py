"""The campaign itself finds what it is made to find."""

import random

import campaign as machinery
import pytest
from mutations import VALUES, damage, dumps, mutate


@pytest.fixture(autouse=True)
def as_usual(monkeypatch):
    for name, value in dict(SEED=5, SECONDS=0, FIRST=0, ROUNDS=0).items():
        monkeypatch.setattr(machinery, name, value)


def test_a_failure_can_be_replayed(tmp_path, monkeypatch):
    """Its message names seed and round, its input stays, and that round alone makes it again."""
    seen = []

    def check(rng, folder):
        value = rng.random()
        (folder / 'input').write_text(str(value))
        seen.append(value)
        if value > 0.95:
            raise IndexError(f'{value} is too much')
        return rng.choice(['right', 'error'])

    with pytest.raises(AssertionError) as raised:
        machinery.campaign('x', tmp_path / 'case', 1000, check)
    message, number = str(raised.value), len(seen) - 1
    assert message.startswith(
        f'x, seed 5, round {number}: IndexError: {seen[-1]} is too much\nthe input is in {tmp_path}'
    )
    assert f'MMVLFORGE_FUZZ_SEED=5 MMVLFORGE_FUZZ_FIRST={number} MMVLFORGE_FUZZ_ROUNDS=1' in message
    assert (tmp_path / 'case' / 'input').read_text() == str(seen[-1])
    monkeypatch.setattr(machinery, 'FIRST', number)
    monkeypatch.setattr(machinery, 'ROUNDS', 1)
    with pytest.raises(AssertionError, match=f'round {number}: IndexError: {seen[-1]} is'):
        machinery.campaign('x', tmp_path / 'case', 1000, check)


@pytest.mark.parametrize('outcome', machinery.OUTCOMES)
def test_one_outcome_alone_shows_nothing(tmp_path, outcome):
    with pytest.raises(AssertionError):
        machinery.campaign('x', tmp_path / 'case', 5, lambda rng, folder: outcome)


def test_seconds_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(machinery, 'SECONDS', 0.3)
    seen = []
    machinery.campaign(
        'x', tmp_path / 'case', 2, lambda rng, folder: seen.append(0) or ('right', 'error')[len(seen) % 2]
    )
    assert len(seen) > 2


@pytest.mark.parametrize(
    ('message', 'right'),
    [
        ('a.json, record 3: is missing', True),
        ('a.json:3: is missing\na.json:4: is missing\n... and 7 more problems', True),
        ('record 3: is missing', False),
        ('a.json:3: is missing\nbecause of the line before', False),
        ('a.json, record 3: \0 is missing', False),
        ('a.json, record 3: ' + 'x' * 5000, False),
        ('a.json', False),
    ],
)
def test_what_is_told(message, right):
    if right:
        assert machinery.told(ValueError(message), 'a.json') == 'error'
    else:
        with pytest.raises(AssertionError):
            machinery.told(ValueError(message), 'a.json')


def test_damage_depends_on_the_seed_alone():
    def make(seed):
        rng = random.Random(seed)
        value = {'a': [1, 'b', None], 'c': {'d': 2.5}}
        for _ in range(4):
            value = mutate(rng, value)
        return dumps(rng, value), damage(rng, bytes(range(200)))

    before = repr(VALUES)
    made = [make(seed) for seed in range(200)]
    assert made == [make(seed) for seed in range(200)] and len(set(made)) > 190
    assert repr(VALUES) == before  # no round leaves anything to the next
