"""Captions as the retrieval systems read them."""

import re
import unicodedata

__all__ = ['CAPTION_CLEANERS', 'clean_caption', 'clean_dgm4_word', 'has_sides', 'swap_sides']

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


def clean_dgm4_word(word: str) -> list[str]:
    """What a word of a news caption would be in DGM⁴, whose captions hold ASCII letters, digits and spaces alone.

    As there ("Blair s", "92story"), an apostrophe parts words and other punctuation is left out. Accents are left out
    too, and so are letters of other scripts.

    Examples:
        >>> clean_dgm4_word("Blair's"), clean_dgm4_word('92-story,'), clean_dgm4_word('José'), clean_dgm4_word('–')
        (['Blair', 's'], ['92story'], ['Jose'], [])
    """
    letters = unicodedata.normalize('NFKD', _APOSTROPHES.sub(' ', word))
    return _NOT_DGM4.sub('', letters).split()


_APOSTROPHES = re.compile("['`´‘’]")
_NOT_DGM4 = re.compile('[^A-Za-z0-9 ]')
CAPTION_CLEANERS = dict(dgm4=clean_dgm4_word)


def has_sides(text: str) -> bool:
    """Whether the caption says left or right, in whatever sense."""
    return _SIDES.search(text) is not None


def swap_sides(text: str) -> str:
    """Left for right and right for left, ``leftmost`` and the like too; the new words are in lower case."""
    return _SIDES.sub(lambda found: 'right' if found[1].lower() == 'left' else 'left', text)
