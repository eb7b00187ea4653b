"""Numbers that are pixels, texts that can be written down, messages of one line."""

import pytest

from mmvlforge.annotations.values import is_pixel, one_line, text_fault


@pytest.mark.parametrize('value', [0, -3, 7.5, 2**31 - 1, -0.0, 5e-324])
def test_pixels(value):
    assert is_pixel(value)


@pytest.mark.parametrize('value', [True, None, '1', float('nan'), float('inf'), -float('inf'), 2**31, 1e300, 10**400])
def test_what_is_no_place_in_a_picture(value):
    assert not is_pixel(value)


@pytest.mark.parametrize('text', ['', 'a b', 'a\n\t\u2028\ufeff', '\U0001f600', '\ud7ff\ue000'])
def test_texts(text):
    assert text_fault(text) == ''
    text.encode()


def test_what_is_no_text():
    assert text_fault('ab\0') == r"'ab\x00' holds NUL at letter 2"
    assert text_fault('\udfff') == r"'\udfff' holds '\udfff', half of a surrogate pair, at letter 0"
    assert text_fault('a\udce9') == r"'a\udce9' holds '\udce9', a byte that is not UTF-8, at letter 1"


def test_one_line():
    assert one_line('caf\u00e9 \U0001f600') == 'caf\u00e9 \U0001f600'
    assert one_line('a\nb\0\ud800\ufeff') == r'a\nb\x00\ud800\ufeff'
    assert one_line('x' * 10**6 + 'y') == 'x' * 500 + ' ... ' + 'x' * 399 + 'y'
