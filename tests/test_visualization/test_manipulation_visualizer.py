import mmengine.dist.utils
import numpy as np
import pytest
import torch
from PIL import Image

from mmvlforge.registry import VISUALIZERS
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import ManipulationVisualizer, blank_picture, load_picture
from mmvlforge.visualization.manipulation_visualizer import MARGIN, PRED_COLOR, PRED_FILL, TRUE_COLOR, WRONG_COLOR

META = dict(
    image_types=('real', 'face_swap', 'face_attribute'),
    text_types=('real', 'text_swap', 'text_attribute'),
)
GREY = np.full((120, 240, 3), 128, np.uint8)  # enlarged twice to 480 pixels


@pytest.fixture
def visualizer():
    visualizer = ManipulationVisualizer()
    visualizer.dataset_meta = META
    return visualizer


def make_sample(text='alpha beta gamma', **fields):
    sample = VLDataSample(metainfo=dict(index=0, text=text, word_ids=list(range(len(text.split())))))
    for name, value in fields.items():
        setattr(sample, name, torch.tensor(value) if isinstance(value, list) else value)
    return sample


def where(drawn, color):
    """Rows and columns of all pixels of exactly this colour."""
    return np.nonzero((drawn == color).all(-1))


def caption_spans(drawn, color):
    """Runs of columns below the picture that hold the colour, within the first line of the caption."""
    line = drawn[240 + 2 * MARGIN : 240 + 2 * MARGIN + 28]
    columns = np.concatenate([[0], (line == color).all(-1).any(0).astype(int), [0]])
    return list(zip(np.flatnonzero(np.diff(columns) == 1), np.flatnonzero(np.diff(columns) == -1)))


def test_boxes_are_drawn_at_their_scaled_place(visualizer):
    drawn = visualizer.draw(GREY, make_sample(gt_box=[20.0, 30.0, 60.0, 90.0], pred_box=[100.0, 40.0, 140.0, 80.0]))
    top = drawn[: 240 + 2 * MARGIN]
    rows, columns = where(top, TRUE_COLOR)
    # 4 pixels wide, just outside twice the box plus the margin
    assert (rows.min(), rows.max()) == (60 + MARGIN - 4, 180 + MARGIN + 3)
    assert (columns.min(), columns.max()) == (40 + MARGIN - 4, 120 + MARGIN + 3)
    rows, columns = where(top, PRED_COLOR)
    # just inside
    assert (rows.min(), rows.max()) == (80 + MARGIN, 160 + MARGIN - 1)
    assert (columns.min(), columns.max()) == (200 + MARGIN, 280 + MARGIN - 1)
    assert tuple(top[120, 40 + MARGIN - 2]) == TRUE_COLOR
    assert tuple(top[120, 200 + MARGIN + 1]) == PRED_COLOR
    assert tuple(top[120, 80 + MARGIN]) == (128, 128, 128), 'the inside stays visible'


@pytest.mark.parametrize('box', [[0.0, 0.0, 240.0, 120.0], [238.0, 118.0, 240.0, 120.0], [-9.0, -9.0, 999.0, 999.0]])
def test_equal_boxes_at_the_edge_are_both_visible(visualizer, box):
    drawn = visualizer.draw(GREY, make_sample(gt_box=box, pred_box=box))[: 240 + 2 * MARGIN]
    assert len(where(drawn, TRUE_COLOR)[0]) > 40
    assert len(where(drawn, PRED_COLOR)[0]) >= 4


def test_a_region_without_area_is_drawn_as_a_dot(visualizer):
    drawn = visualizer.draw(GREY, make_sample(gt_box=None, pred_box=[50.0, 50.0, 50.0, 50.0]))[: 240 + 2 * MARGIN]
    for places in where(drawn, PRED_COLOR):
        assert 1 <= np.ptp(places) + 1 <= 8
        assert places.mean() == pytest.approx(100 + MARGIN, abs=1)
    assert not len(where(drawn, TRUE_COLOR)[0])


def test_words_are_marked_in_place(visualizer):
    first = caption_spans(visualizer.draw(GREY, make_sample(gt_tokens=[1, 0, 0], pred_tokens=[0, 0, 0])), TRUE_COLOR)
    last = caption_spans(visualizer.draw(GREY, make_sample(gt_tokens=[0, 0, 1], pred_tokens=[0, 0, 0])), TRUE_COLOR)
    assert first[0][0] == MARGIN
    assert len(first) == len(last) == 1
    both = visualizer.draw(GREY, make_sample(gt_tokens=[1, 0, 1], pred_tokens=[0, 1, 0]))
    assert caption_spans(both, TRUE_COLOR) == first + last
    ((left, right),) = caption_spans(both, PRED_FILL)
    assert first[0][1] < left < right < last[0][0]
    # the same word, rightly found: both marks at once, and neighbours share one mark
    drawn = visualizer.draw(GREY, make_sample(gt_tokens=[0, 1, 1], pred_tokens=[0, 1, 1]))
    ((true_left, true_right),), ((left, right),) = (caption_spans(drawn, c) for c in (TRUE_COLOR, PRED_FILL))
    assert abs(true_left - left) <= 2 and abs(true_right - right) <= 2
    assert true_right == last[0][1]


def test_one_token_marks_its_whole_word(visualizer):
    sample = make_sample(gt_tokens=[0, 0, 0, 0], pred_tokens=[0, 0, 1, 0])
    sample.set_metainfo(dict(word_ids=[0, 1, 1, 2]))
    whole = visualizer.draw(GREY, make_sample(gt_tokens=[0, 0, 0], pred_tokens=[0, 1, 0]))
    assert caption_spans(visualizer.draw(GREY, sample), PRED_FILL) == caption_spans(whole, PRED_FILL) != []


def test_switches_and_missing_fields(visualizer):
    full = dict(
        gt_fake=1,
        gt_image_type=1,
        gt_text_type=0,
        gt_box=[10.0, 10.0, 30.0, 30.0],
        gt_tokens=[1, 0, 0],
        pred_fake_score=0.25,
        pred_type_scores=[1.0, -1.0, -2.0, -3.0],
        pred_box=[10.0, 10.0, 30.0, 30.0],
        pred_tokens=[0, 1, 0],
    )
    truth = {name: value for name, value in full.items() if name.startswith('gt')}
    pred = {name: value for name, value in full.items() if name.startswith('pred')}
    both = visualizer.draw(GREY, make_sample(**full))
    assert len(where(both, WRONG_COLOR)[0]), 'the wrong verdict shows'
    for switch, part, absent in (('draw_pred', truth, PRED_COLOR), ('draw_gt', pred, TRUE_COLOR)):
        drawn = visualizer.draw(GREY, make_sample(**part))
        assert not len(where(drawn, absent)[0])
        assert np.array_equal(drawn, visualizer.draw(GREY, make_sample(**full), **{switch: False}))
    assert visualizer.draw(GREY, VLDataSample(metainfo=dict(index=0))).shape[1] == 480 + 2 * MARGIN


def test_odd_captions(visualizer):
    short = visualizer.draw(GREY, make_sample('one'))
    for text in (' '.join(['word'] * 80), 'x' * 500):
        drawn = visualizer.draw(GREY, make_sample(text))
        assert drawn.shape[0] > short.shape[0] + 100, 'wrapped'
        assert (drawn[240 + 2 * MARGIN :, -MARGIN + 2 :] == 255).all(), 'nothing runs over the margin'
    assert not np.array_equal(visualizer.draw(GREY, make_sample('Zoë')), visualizer.draw(GREY, make_sample('Zoł')))


def test_works_without_dataset_meta():
    sample = make_sample(gt_fake=1, gt_image_type=2, gt_text_type=0, pred_type_scores=[0.0, 1.0, 2.0, 3.0])
    assert ManipulationVisualizer().draw(GREY, sample).dtype == np.uint8


def test_large_pictures_keep_their_size_and_input_is_untouched(visualizer):
    picture = np.full((300, 900, 3), 7, np.uint8)
    picture.flags.writeable = False
    assert visualizer.draw(picture, make_sample(gt_box=[1.0, 1.0, 9.0, 9.0])).shape[1] == 900 + 2 * MARGIN


def test_every_process_writes_with_the_names_of_the_types(visualizer, tmp_path, monkeypatch):
    sample = make_sample(gt_fake=1, gt_image_type=1, gt_text_type=0)
    expected = visualizer.draw(GREY, sample)
    monkeypatch.setattr(mmengine.dist.utils, 'is_main_process', lambda group=None: False)
    other = VISUALIZERS.build(dict(type='ManipulationVisualizer', name='other'))
    other.dataset_meta = META
    out_file = tmp_path / 'new' / 'a.png'
    returned = other.add_datasample('a', GREY, sample, out_file=str(out_file))
    assert np.array_equal(load_picture(str(out_file)), expected)
    assert np.array_equal(returned, expected)


def test_backends_get_the_picture(tmp_path):
    visualizer = ManipulationVisualizer(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path))
    visualizer.add_datasample('a', GREY, make_sample(), step=3)
    (file,) = tmp_path.rglob('a_3.png')
    with Image.open(file) as picture:
        assert picture.size[0] == 480 + 2 * MARGIN


def test_load_picture_ignores_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('L', (30, 20), 200).save(tmp_path / 'a.jpg', exif=exif)
    assert load_picture(str(tmp_path / 'a.jpg')).shape == (20, 30, 3)
    assert blank_picture().dtype == np.uint8
