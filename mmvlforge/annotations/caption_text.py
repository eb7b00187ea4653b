"""Captions as the retrieval systems read them."""

import re

__all__ = ['clean_caption', 'has_sides', 'swap_sides']

_REMOVED = re.compile(r'[,.\'!?"()*#:;~]')
_SPACED = re.compile(r'[-/\s]+')
_SIDES = re.compile(r'\b(left|right)(?=(?:most|hand|side|wards?)?\b)', re.IGNORECASE)


def clean_caption(text: str, max_words: int) -> str:
    """Lower case, without ``,.'!?"()*#:;~``, ``-`` and ``/`` as spaces, one space between words, cut off.

    Args:
        text: The caption.
        max_words: Words kept.
    """
    text = _SPACED.sub(' ', _REMOVED.sub('', text.lower()))
    return ' '.join(text.split()[:max_words])


def has_sides(text: str) -> bool:
    """Whether the caption says left or right, in whatever sense."""
    return _SIDES.search(text) is not None


def swap_sides(text: str) -> str:
    """Left for right and right for left, ``leftmost`` and the like too; the new words are in lower case."""
    return _SIDES.sub(lambda found: 'right' if found[1].lower() == 'left' else 'left', text)
