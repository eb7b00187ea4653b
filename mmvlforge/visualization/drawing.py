"""What all pictures share: colours, words in lines, stored pictures."""

import functools
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from mmvlforge.datasets.transforms.loading import MAX_PIXELS, decode_image, read_image

MARGIN = 12
MAX_SIDE = 4096  # of a picture as it is drawn, in pixels
MAX_LINES = 40  # of a text
MAX_LETTERS = 200  # of a word
NO_GLYPH = '□'
TRUE_COLOR = (214, 32, 32)
PRED_COLOR = (24, 90, 219)
PRED_FILL = (190, 214, 255)
INK = (24, 28, 36)
FAINT = (150, 155, 165)
TRACK = (228, 231, 237)
PLATE = (208, 211, 217)
RIGHT_COLOR = (24, 128, 64)
WRONG_COLOR = (196, 98, 0)


class Drawn(NamedTuple):
    """A finished picture.

    Attributes:
        name: Of its file, without ending.
        picture: RGB, uint8 ``(H, W, 3)``.
        alt: What it shows, in words.
        note: What is to be said under it.
    """

    name: str
    picture: np.ndarray
    alt: str
    note: str


class Word(NamedTuple):
    """One piece of text to draw: ``true`` underlines it in red, ``fill`` is a colour behind it."""

    text: str
    true: bool = False
    fill: tuple | None = None
    color: tuple = INK
    bold: bool = False


def _face(bold: bool) -> str:
    # Pillow's built-in face has no accented letters; matplotlib, which MMEngine needs, brings one that has.
    return str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'))


@functools.cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The face of all pictures at a size in pixels."""
    return ImageFont.truetype(_face(bold), size)


@functools.cache
def _letters(bold: bool) -> frozenset[int]:
    return frozenset(FT2Font(_face(bold)).get_charmap())


def undrawable(text: str, bold: bool = False) -> list[str]:
    """Letters of a text that the face has no picture of, each once.

    Examples:
        >>> undrawable('a 犬 and a 犬')
        ['犬']
    """
    known = _letters(bold)
    # Signs that only join, shape or direct others take no place.
    missing = (c for c in text if ord(c) not in known and not c.isspace() and unicodedata.category(c) not in _NO_PLACE)
    return list(dict.fromkeys(missing))


_NO_PLACE = ('Cc', 'Cf')


def name_letters(letters: Sequence[str], most: int = 20) -> str:
    """Letters as code points, the first of many.

    Examples:
        >>> name_letters(['犬', '猫'])
        'U+72AC U+732B'
    """
    rest = len(letters) - most
    return ' '.join(f'U+{ord(letter):04X}' for letter in letters[:most]) + (f' and {rest} more' if rest > 0 else '')


def drawable(text: str, bold: bool = False) -> str:
    """A text with ``□`` for what cannot be drawn, cut after ``MAX_LETTERS`` letters."""
    if len(text) > MAX_LETTERS:
        text = text[: MAX_LETTERS - 1] + '…'
    gone = set(undrawable(text, bold))
    return ''.join(NO_GLYPH if c in gone else '' if unicodedata.category(c) in _NO_PLACE else c for c in text)


def _break(word: Word, size: int, width: float) -> list[Word]:
    """Cut a word that is longer than a line into pieces that are not."""
    word = word._replace(text=drawable(word.text, word.bold))
    face = font(size, word.bold)
    if face.getlength(word.text) <= width:
        return [word]
    pieces = ['']
    for letter in word.text:
        if pieces[-1] and face.getlength(pieces[-1] + letter) > width:
            pieces.append('')
        pieces[-1] += letter
    return [word._replace(text=piece) for piece in pieces]


def wrap(words: Sequence[Word], size: int, width: float) -> list[list[Word]]:
    """Split words into lines of at most ``width`` pixels, at a font size in pixels.

    The lines are at most ``MAX_LINES``, the last of them then says how many words are not drawn. Letters that the face
    lacks are drawn as ``□``, and named on a line of their own.
    """
    space = font(size).getlength(' ')
    lines: list[list[Word]] = [[]]
    used, first = 0.0, 0  # of the last line: its length, and the number of its first word
    pieces = ((number, piece) for number, word in enumerate(words) for piece in _break(word, size, width))
    for number, word in pieces:
        length = font(size, word.bold).getlength(word.text)
        if lines[-1] and used + space + length > width:
            if len(lines) == MAX_LINES:
                lines[-1] = [Word(f'… {len(words) - first} more words', color=FAINT)]
                break
            lines.append([])
            used, first = 0.0, number
        used += length + (space if lines[-1] else 0)
        lines[-1].append(word)
    gone = list(dict.fromkeys(letter for word in words for letter in undrawable(word.text, word.bold)))
    if gone:
        lines.append([Word(f'{NO_GLYPH} {name_letters(gone, 5)}', color=FAINT)])
    return lines


def draw_line(canvas: ImageDraw.ImageDraw, x: float, y: float, words: Sequence[Word], size: int) -> None:
    """Draw one line of words with its top left corner at (x, y); neighbours with the same mark share one mark."""
    space = font(size).getlength(' ')
    ends = []
    start = x
    for word in words:
        ends.append(start + font(size, word.bold).getlength(word.text))
        start = ends[-1] + space
    starts = [x] + [end + space for end in ends[:-1]]

    def spans(mark: str):
        for i, word in enumerate(words):
            if getattr(word, mark):
                joined = i + 1 < len(words) and getattr(words[i + 1], mark) == getattr(word, mark)
                yield starts[i], (starts[i + 1] if joined else ends[i]), word

    for left, right, word in spans('fill'):
        canvas.rectangle((left - 1, y - 1, right + 1, y + size * 1.2), fill=word.fill)
    for left, word in zip(starts, words):
        canvas.text((left, y), word.text, fill=word.color, font=font(size, word.bold))
    for left, right, _ in spans('true'):
        canvas.rectangle((left, y + size * 1.24, right, y + size * 1.24 + max(2, size // 8)), fill=TRUE_COLOR)


def load_picture(path: str, orientation: str = 'stored', max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a stored picture, so that what is drawn never depends on what the network was fed.

    Args:
        path: The file.
        orientation: ``'stored'`` ignores EXIF rotation, as annotated boxes do; ``'seen'`` applies it.
        max_pixels: A picture of more pixels is refused before it is decoded.

    Returns:
        RGB, uint8 ``(height, width, 3)``.

    Raises:
        UnusableImageError: The file is missing, no picture, or one of too many pixels.
    """
    return decode_image(read_image(path), path, orientation=orientation, max_pixels=max_pixels)[0][..., ::-1].copy()


def framed_picture(image: np.ndarray, min_width: int) -> tuple[Image.Image, float]:
    """A picture within a white margin.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        min_width: Smaller pictures are enlarged to this width in pixels, and the panel is never narrower.

    Returns:
        The panel, and how many times larger the picture is there; less than 1 for one beyond ``MAX_SIDE``.
    """
    height, width = image.shape[:2]
    scale = min(max(1.0, min_width / width), MAX_SIDE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    panel = Image.new('RGB', (max(size[0], min_width) + 2 * MARGIN, size[1] + 2 * MARGIN), 'white')
    panel.paste(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC), (MARGIN, MARGIN))
    return panel, scale


def stack_panels(panels: Sequence[Image.Image]) -> np.ndarray:
    """Panels one below the other on white, RGB, uint8 ``(H, W, 3)``."""
    plate = Image.new('RGB', (max(panel.width for panel in panels), sum(panel.height for panel in panels)), 'white')
    y = 0
    for panel in panels:
        plate.paste(panel, (0, y))
        y += panel.height
    return np.asarray(plate)


def text_panel(lines: Sequence[Sequence[Word]], width: int, size: int) -> Image.Image:
    """Lines of words (from :func:`wrap`) on white, ``width`` pixels wide, at a font size in pixels."""
    step = round(1.75 * size)
    panel = Image.new('RGB', (width, step * len(lines) + MARGIN), 'white')
    canvas = ImageDraw.Draw(panel)
    for i, line in enumerate(lines):
        draw_line(canvas, MARGIN, 4 + step * i, line, size)
    return panel


def captioned_picture(image: np.ndarray, words: Sequence[Word], min_width: int = 480) -> np.ndarray:
    """A picture with words under it, RGB, uint8 ``(H, W, 3)``; arguments as in :func:`framed_picture`."""
    panel, _ = framed_picture(image, min_width)
    size = max(16, panel.width // 28)
    return stack_panels([panel, text_panel(wrap(words, size, panel.width - 2 * MARGIN), panel.width, size)])


def save_picture(drawn: np.ndarray, path: str) -> None:
    """Write a picture, its format told by its ending; the folder is made if need be."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    # full colour resolution: halved, the thin coloured lines would bleed
    options: dict[str, Any] = dict(quality=90, subsampling=0) if Path(path).suffix.lower() in ('.jpg', '.jpeg') else {}
    Image.fromarray(drawn).save(path, **options)


def blank_picture(width: int = 480, height: int = 240) -> np.ndarray:
    """A grey plate for data without pictures, RGB, uint8 ``(height, width, 3)``."""
    plate = Image.new('RGB', (width, height), PLATE)
    canvas = ImageDraw.Draw(plate)
    canvas.text((width / 2, height / 2), 'no picture', fill=INK, font=font(max(8, width // 24)), anchor='mm')
    return np.asarray(plate)
