import numpy as np

from mmvlforge.evaluation.similarity import similarity_distribution
from mmvlforge.visualization.drawing import MARGIN, RIGHT_COLOR, TRACK
from mmvlforge.visualization.retrieval_gallery import FRAME, TILE, Answer, draw_found_captions, draw_found_pictures
from mmvlforge.visualization.similarity_chart import draw_similarities


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
