"""What text and numbers of a record must be so that anything can be done with them."""

import math
import re
from typing import Any

__all__ = ['is_pixel', 'json_fault', 'one_line', 'text_fault']

_NO_TEXT = re.compile('[\x00\ud800-\udfff]')
_LARGEST = 2**31  # a side of a picture, in any format


def is_pixel(value: Any) -> bool:
    """Whether a value is a number that can be a place in a picture: none of JSON's NaN, Infinity, 1e999 or 10**400."""
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST


def one_line(text: str) -> str:
    """A text of unknown origin as a message can hold it: line breaks and what nobody sees spelt out, the middle cut."""
    text = text if len(text) <= 1000 else f'{text[:500]} ... {text[-400:]}'
    return text if text.isprintable() else ascii(text)[1:-1]


def text_fault(text: str) -> str:
    """What makes a string one that no file name, tokenizer or UTF-8 file can hold, or ''.

    JSON can write both: the character NUL, and one half of a surrogate pair without the other.
    """
    found = _NO_TEXT.search(text)
    if not found:
        return ''
    what = 'NUL' if found[0] == '\0' else f'{found[0]!a}, half of a surrogate pair,'
    if '\udc80' <= found[0] <= '\udcff':  # how Python keeps a byte of a command line that it cannot decode
        what = f'{found[0]!a}, a byte that is not UTF-8,'
    return f'{text!a:.80} holds {what} at letter {found.start()}'


def json_fault(value: Any) -> str:
    """What makes a JSON value one that not everything that reads JSON can hold, or ''."""
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, (int, float)):
        return '' if abs(value) < 2**63 or isinstance(value, float) and math.isfinite(value) else f'holds {value!r:.60}'
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return next(filter(None, map(json_fault, inner)), '')
