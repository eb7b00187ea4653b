"""A query of retrieval and the best answers to it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from mmvlforge.visualization.drawing import (
    FAINT,
    INK,
    MARGIN,
    RIGHT_COLOR,
    TRACK,
    Word,
    font,
    framed_picture,
    stack_panels,
    text_panel,
    wrap,
)

__all__ = ['Answer', 'draw_found_captions', 'draw_found_pictures']

TILE = 140
FRAME = 5
SIZE = 16
LINE = 28  # for the scores below the tiles


class Answer(NamedTuple):
    """One of the first k answers.

    Attributes:
        content: A picture, RGB, uint8 ``(H, W, 3)``, or a caption.
        score: Its similarity to the query.
        right: Whether it belongs to the query.
    """

    content: Any
    score: float
    right: bool


def draw_found_pictures(caption: str, answers: Sequence[Answer], rank: int) -> np.ndarray:
    """Draw a caption and the pictures found for it, the best first, the right one in a green frame.

    Args:
        caption: The query.
        answers: Pictures.
        rank: Place of the right picture among all, from 1.

    Returns:
        RGB, uint8.
    """
    step = TILE + 2 * FRAME + MARGIN
    width = MARGIN + len(answers) * step
    tiles = Image.new('RGB', (width, TILE + 2 * FRAME + LINE), 'white')
    canvas = ImageDraw.Draw(tiles)
    for i, answer in enumerate(answers):
        x = MARGIN + i * step
        color = RIGHT_COLOR if answer.right else TRACK
        canvas.rectangle((x, 0, x + TILE + 2 * FRAME - 1, TILE + 2 * FRAME - 1), fill=color)
        picture = Image.fromarray(answer.content).resize((TILE, TILE), Image.Resampling.BICUBIC)
        tiles.paste(picture, (x + FRAME, FRAME))
        canvas.text((x + step / 2, TILE + 2 * FRAME + 3), f'{answer.score:.2f}', fill=INK, font=font(14), anchor='ma')
    words = [Word(word) for word in caption.split()] + [Word(f'· the right one has rank {rank}', color=FAINT)]
    return stack_panels([text_panel(wrap(words, SIZE, width - 2 * MARGIN), width, SIZE), tiles])


def draw_found_captions(image: np.ndarray, answers: Sequence[Answer], rank: int, min_width: int = 480) -> np.ndarray:
    """Draw a picture and the captions found for it, the best first, right ones ticked and in green.

    Args:
        image: The query, RGB, uint8 ``(H, W, 3)``.
        answers: Captions.
        rank: Place of the first right caption among all, from 1.
        min_width: Smaller pictures are enlarged to this width in pixels.

    Returns:
        RGB, uint8.
    """
    panel, _ = framed_picture(image, min_width)
    lines = []
    for answer in answers:
        color = RIGHT_COLOR if answer.right else INK
        words = [Word(f'{answer.score:.2f}', color=FAINT), Word('✓' if answer.right else '·', color=color)]
        words += [Word(word, color=color) for word in answer.content.split()]
        lines += wrap(words, SIZE, panel.width - 2 * MARGIN)
    lines.append([Word(f'the first right one has rank {rank}', color=FAINT)])
    return stack_panels([panel, text_panel(lines, panel.width, SIZE)])
