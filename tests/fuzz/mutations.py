"""Damage, by kind: of JSON values, of JSON text, and of bytes."""

import copy
import json
import random
import re
from typing import Any

# Written as text that json.dumps cannot make; see `dumps`.
_LONG, _DEEP, _TWICE = '\ue000long', '\ue000deep', '\ue000twice'

VALUES = [
    *(None, True, False, 0, -1, 1, 2, 0.0, -0.0, 0.5, 1.0, 1e308, -1e308, 5e-324, 1e-7),
    *(2**31 - 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, -(10**400)),
    *(float('nan'), float('inf'), float('-inf')),
    *(
        '',
        ' ',
        '\0',
        'a\0b',
        '\ud800',
        'a \udc80 b',
        '\u200b',
        '\u2028',
        '\ufeff',
        '\x85',
        'a\x1fb',
        '\u202e',
        '0',
        'orig',
    ),
    *('a \n b', '../../x', '/', '/dev/null', '.', '{}', '%s', 'e\u0301', 'x' * 20000, 'wort ' * 3000, '\U0001f600'),
    *([], {}, [[]], [None], [0], [0, 0, 1, 1], [1, 1, 0, 0], [float('nan')] * 4, [True] * 4, [10**400] * 4, ['0'] * 4),
    *({'a': 1}, [{}], [''], ['\0'], ['a', 7], _LONG, *(f'{_DEEP}{n}' for n in (3, 99, 100, 101, 400, 990, 3000))),
]
LETTERS = '\0\x01\t\n\r "\\\',;.\x7f\x85\xa0\u00ad\u0301\u200b\u2028\ud800\udc00\ufeff\U0001f600aZ\u4e2d\u05d0'


def _any(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(VALUES))


def _places(value: Any, parent: Any = None, key: Any = None) -> list[tuple[Any, Any]]:
    """Parent and key of each value below a value."""
    found = [] if parent is None else [(parent, key)]
    if isinstance(value, (dict, list)):
        for name, child in list(value.items() if isinstance(value, dict) else enumerate(value)):
            found += _places(child, value, name)
    return found


def mutate(rng: random.Random, value: Any) -> Any:
    """Change a JSON value in place, in one spot, and return it; sometimes the change means nothing."""
    places = _places(value)
    if not places or rng.random() < 0.02:
        return _any(rng)
    parent, key = rng.choice(places)
    old = parent[key]
    kind = rng.choice(['replace', 'replace', 'like', 'like', 'drop', 'twice', 'more', 'wrap', 'order'])
    if kind == 'drop':
        del parent[key]
    elif kind == 'twice' and isinstance(parent, dict):
        parent[f'{key}{_TWICE}'] = rng.choice([copy.deepcopy(old), _any(rng)])
    elif kind == 'more' and isinstance(parent, dict):
        parent[rng.choice(['more', '', '\0', '\ud800', 'x' * 3000])] = _any(rng)
    elif kind == 'more':
        parent.insert(rng.randint(0, len(parent)), rng.choice([copy.deepcopy(old), _any(rng)]))
    elif kind == 'wrap':
        parent[key] = [old] if rng.random() < 0.5 else {'a': old}
    elif kind == 'order' and isinstance(parent, dict):
        items = list(parent.items())
        rng.shuffle(items)
        parent.clear()
        parent.update(items)
    elif kind == 'order':
        rng.shuffle(parent)
    elif kind == 'like':
        parent[key] = _like(rng, old)
    else:
        parent[key] = _any(rng)
    return value


def _like(rng: random.Random, old: Any) -> Any:
    """A value near another."""
    if isinstance(old, bool) or old is None:
        return rng.choice([0, 1, True, False, None])
    if isinstance(old, int) and abs(old) > 2**63:
        return rng.choice([old + 1, -old, str(old)])
    if isinstance(old, (int, float)):
        return rng.choice([old + 1, old - 1, -old, float(old), str(old), old * 10**6, old + 0.5, bool(old)])
    if isinstance(old, str):
        at = rng.randint(0, len(old))
        cut = old[:at]
        return rng.choice(
            [cut + rng.choice(LETTERS) + old[at:], cut, old * 50, old.upper(), f' {old} ', [old], old[::-1]]
        )
    return rng.choice([list(old), str(old), len(old), None])


def dumps(rng: random.Random, value: Any) -> str:
    """JSON text in some form, with what ``json.dumps`` does not write: keys twice, deep nesting, endless integers."""
    form = dict(
        ensure_ascii=rng.random() < 0.5 or bool(re.search('[\ud800-\udfff]', json.dumps(value, ensure_ascii=False)))
    )
    if rng.random() < 0.2:
        form['separators'] = rng.choice([(',', ':'), (' ,\t', ' : ')])
    text = json.dumps(value, **form)
    escaped = r'(?:\ue000|\\ue000)'
    text = re.sub(rf'{escaped}twice', '', text)
    text = re.sub(rf'"{escaped}long"', '9' * 5000, text)
    bracket = rng.choice([('[', ']'), ('{"a":', '}')])
    return re.sub(rf'"{escaped}deep(\d+)"', lambda m: bracket[0] * int(m[1]) + '1' + bracket[1] * int(m[1]), text)


def damage(rng: random.Random, data: bytes, most: int = 3) -> bytes:
    """Damage bytes in up to so many places."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(changed) + 1)
        length = rng.choice([1, 1, 2, 4, 16, 500])
        kind = rng.choice(['flip', 'flip', 'flip', 'byte', 'cut', 'out', 'in', 'zeros', 'again', 'number'])
        if kind == 'cut':
            del changed[at:]
        elif kind == 'out':
            del changed[at : at + length]
        elif kind == 'in':
            changed[at:at] = rng.randbytes(length)
        elif kind == 'zeros':
            changed[at : at + length] = bytes(len(changed[at : at + length]))
        elif kind == 'again':
            changed[at:at] = changed[at : at + length]
        elif kind == 'number' and len(changed) >= at + 4:
            number = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x8000])
            changed[at : at + 4] = number.to_bytes(4, rng.choice(['little', 'big']))
        elif at < len(changed):
            changed[at] = changed[at] ^ 1 << rng.randrange(8) if kind == 'flip' else rng.randrange(256)
    return bytes(changed)


def encoded(rng: random.Random, text: str) -> bytes:
    """A text as a file, now and then in another encoding or damaged."""
    chance = rng.random()
    if chance < 0.04:
        return text.encode(rng.choice(['utf-8-sig', 'utf-16', 'utf-32']), errors='surrogatepass')
    if chance < 0.06:
        return text.encode('latin-1', errors='replace')
    data = text.encode(errors='surrogatepass')
    return damage(rng, data) if chance < 0.2 else data
