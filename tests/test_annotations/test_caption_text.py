"""Cleaning, and left and right."""

import pytest

from mmvlforge.annotations import CAPTION_CLEANERS, clean_caption, has_sides, swap_sides


@pytest.mark.parametrize(
    ('text', 'clean'),
    [
        ('A man, on a Bike.', 'a man on a bike'),
        (' semi-circle and/or  x\n', 'semi circle and or x'),
        ('"It\'s" (a) dog!? *#:;~', 'its a dog'),
        ('snow-\t/covered', 'snow covered'),
        ('...', ''),
    ],
)
def test_clean(text, clean):
    assert clean_caption(text, 30) == clean


@pytest.mark.parametrize(
    ('word', 'clean'),
    [
        ('Blair', ['Blair']),
        ("Blair's", ['Blair', 's']),
        ('Blair’s', ['Blair', 's']),
        ('92-story,', ['92story']),
        ('U.S.', ['US']),
        ('José', ['Jose']),
        ('–', []),
        ('犬', []),
        ("'tis", ['tis']),
    ],
)
def test_words_as_dgm4_has_them(word, clean):
    assert CAPTION_CLEANERS['dgm4'](word) == clean


def test_words_are_cut():
    assert clean_caption('a, b c - d', 3) == 'a b c'


@pytest.mark.parametrize(
    ('text', 'swapped'),
    [
        ('a cup left of a plate on the right', 'a cup right of a plate on the left'),
        ('the leftmost, rightmost and Left-hand one', 'the rightmost, leftmost and right-hand one'),
        ('lefthand glove', 'righthand glove'),
    ],
)
def test_swap(text, swapped):
    assert has_sides(text) and swap_sides(text) == swapped


@pytest.mark.parametrize('text', ['bright cleft', 'copyright', 'leftover food', 'a righteous man'])
def test_other_words_are_no_sides(text):
    assert not has_sides(text) and swap_sides(text) == text
