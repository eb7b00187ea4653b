"""What a file is that was given for a picture and is none that can be decoded, told by its first bytes."""

from codecs import getincrementaldecoder

__all__ = ['kind_of_file']

_VIDEO = "a video; take a frame out of it, for instance with 'ffmpeg -i FILE -frames:v 1 frame.png'"
_DAMAGED = 'damaged, cut off, or of a kind that Pillow does not decode'

_BEGINNINGS = (
    (b'version https://git-lfs', "a pointer of Git LFS in the picture's place; 'git lfs pull' fetches the picture"),
    (b'%PDF', "a PDF document; save its page as a picture, for instance with 'pdftoppm -png FILE page'"),
    (b'%!PS', 'PostScript, a program and no picture, which is not run here; convert it to PNG'),
    (b'\xc5\xd0\xd3\xc6', 'PostScript, a program and no picture, which is not run here; convert it to PNG'),
    (b'\xff\x0a', 'a JPEG XL picture; convert it to JPEG or PNG'),
    (b'\0\0\0\x0cJXL ', 'a JPEG XL picture; convert it to JPEG or PNG'),
    (b'v/1\x01', 'an OpenEXR picture of floating-point values; convert it to PNG'),
    (b'\x1a\x45\xdf\xa3', _VIDEO),
    (b'\0\0\x01\xba', _VIDEO),
    (b'\0\0\x01\xb3', _VIDEO),
    (b'FLV', _VIDEO),
    (b'OggS', 'an Ogg file, sound or video'),
    (b'ID3', 'sound'),
    (b'PK\x03\x04', 'a ZIP archive or an Office document; unpack it, or save its picture'),
    (b'\x1f\x8b', 'compressed by gzip; unpack it'),
    (b'\x93NUMPY', "NumPy's array; give the array itself, or save it as PNG"),
    (b'\xff\xd8\xff', f'a JPEG picture that is {_DAMAGED}'),
    (b'\x89PNG', f'a PNG picture that is {_DAMAGED}'),
    (b'GIF8', f'a GIF picture that is {_DAMAGED}'),
    (b'II*\0', f'a TIFF picture that is {_DAMAGED}; floating-point colours are such a kind'),
    (b'MM\0*', f'a TIFF picture that is {_DAMAGED}; floating-point colours are such a kind'),
    (b'BM', f'a BMP picture that is {_DAMAGED}'),
)
_RIFF = {
    b'WEBP': f'a WebP picture that is {_DAMAGED}',
    b'AVI ': _VIDEO,
    b'WAVE': 'sound',
}
_HEIC = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1')


def kind_of_file(data: bytes) -> str:
    """What the bytes are, and what would open them, as the end of a sentence that begins with 'it is'.

    Examples:
        >>> kind_of_file(b'%PDF-1.7')
        "a PDF document; save its page as a picture, for instance with 'pdftoppm -png FILE page'"
        >>> kind_of_file(b'once upon a time')
        "text, beginning with 'once upon a time'"
    """
    if not data.strip(b'\0'):
        return f'empty: {len(data)} bytes of zeros' if data else 'empty: 0 bytes'
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    if data.startswith(b'RIFF') and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[4:8] == b'ftyp':
        return _boxed(data[8:12])
    return _text(data) or f'no picture of a known format, its first bytes are {data[:8].hex(" ")}'


def _boxed(brand: bytes) -> str:
    """A file of ISO's media format, by its brand."""
    if brand in (b'avif', b'avis'):
        return f'an AVIF picture that is {_DAMAGED}; convert it to JPEG or PNG'
    if brand in _HEIC:
        return (
            'a HEIC picture, as telephones take them; convert it to JPEG or PNG, or from Python: pip install '
            'pillow-heif, then pillow_heif.register_heif_opener()'
        )
    if brand == b'crx ':
        return 'a raw photograph (CR3); develop it to JPEG or PNG'
    return _VIDEO


def _text(data: bytes) -> str:
    """What kind of text it is; empty for bytes that are none."""
    try:
        text = getincrementaldecoder('utf-8-sig')().decode(data[:1000]).strip()  # the last letter may be cut
    except UnicodeDecodeError:
        return ''
    if any(ord(letter) < 32 and letter not in '\t\r\n\f' or 127 <= ord(letter) < 160 for letter in text):
        return ''
    start = text.lower()
    if '<!doctype html' in start or '<html' in start:
        return "a web page (HTML), perhaps an error that was saved in the picture's place; fetch the picture anew"
    if '<svg' in start:
        return 'an SVG drawing; draw it in pixels first and save that as PNG'
    return f'text, beginning with {text[:40]!r}'
