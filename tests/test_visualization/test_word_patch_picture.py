import numpy as np
import pytest

from mmvlforge.visualization.word_patch_picture import GAP, draw_word_patch_maps


def test_heat_is_drawn_where_the_map_is_high():
    maps = np.array([[0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    drawn = draw_word_patch_maps(np.full((50, 50, 3), 128, np.uint8), ['red', 'cars'], maps, tile=100, columns=2)
    assert drawn.shape[1] == GAP + 2 * (100 + GAP)
    tile = drawn[GAP : GAP + 100, 108 + GAP : 208 + GAP].astype(int)
    redness = tile[..., 0] - tile[..., 2]
    assert redness[90, 90] > 50 > 0 > redness[10, 10]
    second = drawn[drawn.shape[0] // 2 + GAP :][:90, GAP : GAP + 100].astype(int)  # nothing: cold everywhere
    assert (second[20:80, :, 0] <= second[20:80, :, 2]).all()


def test_patches_must_fill_a_square():
    with pytest.raises(ValueError, match='5 patches do not fill a square'):
        draw_word_patch_maps(np.zeros((5, 5, 3), np.uint8), ['a'], np.ones((1, 5)))
