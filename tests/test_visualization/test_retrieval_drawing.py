import numpy as np
import pytest
from PIL import Image

from mmvlforge.datasets.transforms.loading import UnusableImageError
from mmvlforge.evaluation.similarity import similarity_distribution
from mmvlforge.visualization import load_picture
from mmvlforge.visualization.drawing import (
    MARGIN,
    MAX_LINES,
    MAX_SIDE,
    RIGHT_COLOR,
    TRACK,
    Word,
    captioned_picture,
    drawable,
    name_letters,
    undrawable,
    wrap,
)
from mmvlforge.visualization.retrieval_gallery import FRAME, TILE, Answer, draw_found_captions, draw_found_pictures
from mmvlforge.visualization.similarity_chart import draw_similarities
from mmvlforge.visualization.word_patch_picture import draw_word_patch_maps


def grey(level):
    return np.full((40, 60, 3), level, np.uint8)


def test_the_right_picture_has_a_green_frame():
    answers = [Answer(grey(40), 0.9, False), Answer(grey(200), 0.5, True), Answer(grey(90), 0.1, False)]
    drawn = draw_found_pictures('two red cars', answers, 2)
    step = TILE + 2 * FRAME + MARGIN
    line = drawn[drawn.shape[0] - 100]  # through the pictures
    for i, answer in enumerate(answers):
        x = MARGIN + i * step
        assert tuple(line[x]) == (RIGHT_COLOR if answer.right else TRACK)
        assert tuple(line[x + FRAME + 20]) == (answer.content[0, 0, 0],) * 3


def test_right_captions_are_green():
    answers = [Answer('two red cars', 0.9, False), Answer('a blue hat', 0.5, True)]
    drawn = draw_found_captions(grey(100), answers, 2)
    rows = np.flatnonzero((drawn == RIGHT_COLOR).all(-1).any(1))
    assert len(rows) and np.ptp(rows) < 28  # one line
    assert not (draw_found_captions(grey(100), answers[:1], 7) == RIGHT_COLOR).all(-1).any()


def test_distributions_of_two_models_over_each_other():
    rng = np.random.default_rng(0)
    images, owner = rng.normal(size=(20, 4)), np.arange(20)
    models = {
        name: similarity_distribution(images, images + noise * rng.normal(size=(20, 4)), owner)
        for name, noise in (('a', 0.2), ('b', 2.0))
    }
    drawn = draw_similarities(models)
    assert drawn.dtype == np.uint8 and drawn.shape == (400, 1100, 3)
    assert (drawn == (24, 90, 219)).all(-1).any() and (drawn == (214, 32, 32)).all(-1).any()


def test_what_the_face_lacks_is_drawn_as_a_box_and_named():
    assert undrawable('a 犬, é, Ж, a 犬 \u200b') == ['犬']
    assert drawable('a犬\u200bé') == 'a□é' and name_letters(['犬', 'ไ', 'a'], 2) == 'U+72AC U+0E44 and 1 more'
    lines = wrap([Word('a'), Word('犬')], 16, 400)
    assert [[word.text for word in line] for line in lines] == [['a', '□'], ['□ U+72AC']]
    assert len(wrap([Word('a'), Word('é')], 16, 400)) == 1


@pytest.mark.parametrize('words', [['x' * 20_000], ['word'] * 5000, ['犬' * 20_000, 'x'], ['x' * 150] * 90])
def test_the_size_of_a_text_is_bounded(words):
    drawn = captioned_picture(grey(100), [Word(word) for word in words])
    assert drawn.shape[1] == 480 + 2 * MARGIN and drawn.shape[0] < 2000


def test_words_that_are_not_drawn_are_counted():
    lines = wrap([Word('word')] * 5000, 16, 400)
    assert len(lines) == MAX_LINES
    (last,) = lines[-1]
    drawn = sum(map(len, lines[:-1]))
    assert last.text == f'… {5000 - drawn} more words' and 200 < drawn < 500
    (word,) = [word for line in wrap([Word('x' * 300)], 16, 9000) for word in line]
    assert len(word.text) == 200 and word.text.endswith('…')


@pytest.mark.parametrize(('height', 'width'), [(5000, 1), (1, 5000), (9000, 9000), (1, 1)])
def test_the_size_of_a_picture_is_bounded(height, width):
    image = np.full((height, width, 3), 90, np.uint8)
    drawn = captioned_picture(image, [Word('caption')])
    assert 480 <= drawn.shape[1] <= MAX_SIDE + 2 * MARGIN and drawn.shape[0] < MAX_SIDE + 600
    assert (drawn == 90).all(-1).any()
    maps = draw_word_patch_maps(image, ['caption'], np.ones((1, 4)))
    assert max(maps.shape) < 1500


def test_load_picture_in_either_frame(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.full((20, 30), 65535, np.uint16)).save(tmp_path / 'a.png', exif=exif)
    assert load_picture(str(tmp_path / 'a.png')).shape == (20, 30, 3)
    seen = load_picture(str(tmp_path / 'a.png'), 'seen')
    assert seen.shape == (30, 20, 3) and (seen == 255).all()
    with pytest.raises(UnusableImageError, match='it has 30x20 pixels, the limit is max_pixels=599'):
        load_picture(str(tmp_path / 'a.png'), max_pixels=599)
