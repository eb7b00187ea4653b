"""One tile for each word: where in the picture it was looked for (Fig. 3 of the ViLEM paper)."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from mmvlforge.visualization.drawing import INK, drawable, font

__all__ = ['draw_word_patch_maps']

GAP = 8
MAX_TILE_HEIGHT = 4  # in widths; a higher picture is squeezed


def draw_word_patch_maps(
    image: np.ndarray, words: Sequence[str], maps: np.ndarray, tile: int = 150, columns: int = 7
) -> np.ndarray:
    """Draw the picture, then the picture under each word's map; a map's largest value is red, whatever it is.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        words: T words.
        maps: ``(T, N)``, at least 0, for N patches in as many rows as columns.
        tile: Width of a tile in pixels.
        columns: Tiles in a row.

    Returns:
        RGB, uint8.

    Raises:
        ValueError: N is no square number.
    """
    side = math.isqrt(maps.shape[1])
    if side**2 != maps.shape[1]:
        raise ValueError(f'{maps.shape[1]} patches do not fill a square')
    size = (tile, min(max(1, round(tile * image.shape[0] / image.shape[1])), MAX_TILE_HEIGHT * tile))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    tiles = [(picture, '')] + [(_heated(picture, part.reshape(side, side)), word) for part, word in zip(maps, words)]

    text = max(12, tile // 10)
    columns = min(columns, len(tiles))
    step = (tile + GAP, size[1] + round(1.6 * text) + GAP)
    rows = math.ceil(len(tiles) / columns)
    plate = Image.new('RGB', (GAP + columns * step[0], GAP + rows * step[1]), 'white')
    canvas = ImageDraw.Draw(plate)
    for i, (part, word) in enumerate(tiles):
        x, y = GAP + i % columns * step[0], GAP + i // columns * step[1]
        plate.paste(part, (x, y))
        canvas.text((x + tile / 2, y + size[1] + 3), drawable(word), fill=INK, font=font(text), anchor='ma')
    return np.asarray(plate)


def _heated(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    heat = heat / max(heat.max(), 1e-12)
    smooth = Image.fromarray(heat.astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    level = np.clip(np.asarray(smooth), 0, 1)
    color = 255 * matplotlib.colormaps['jet'](level)[..., :3]
    grey = np.asarray(picture.convert('L').convert('RGB'), dtype=np.float64)
    share = 0.15 + 0.45 * level[..., None]
    return Image.fromarray(np.rint((1 - share) * grey + share * color).astype(np.uint8))
