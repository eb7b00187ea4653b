from types import SimpleNamespace

import pytest
import torch
from mmengine.visualization import Visualizer
from PIL import Image

from mmvlforge.datasets.transforms.loading import LoadImage, UnusableImageError
from mmvlforge.engine.hooks import manipulation_visualization_hook as module
from mmvlforge.engine.hooks.manipulation_visualization_hook import ManipulationVisualizationHook
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import ManipulationVisualizer


@pytest.fixture
def runner(tmp_path):
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=[LoadImage(max_pixels=640 * 480)]))
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(visualizer=ManipulationVisualizer(), log_dir=str(tmp_path / 'log'), test_dataloader=loader)


@pytest.fixture
def picture(tmp_path):
    Image.new('RGB', (64, 48), (0, 255, 0)).save(tmp_path / 'face.png')
    return str(tmp_path / 'face.png')


def make_sample(index, score, picture=None):
    sample = VLDataSample(metainfo=dict(index=index, text='a b', word_ids=[0, 1]))
    if picture:
        sample.set_metainfo(dict(img_path=picture, ori_shape=(48, 64)))
    sample.gt_fake = 1
    sample.pred_fake_score = score
    sample.gt_tokens = sample.pred_tokens = torch.zeros(2, dtype=torch.int64)
    return sample


def run(hook, runner, *batches):
    hook.before_test_epoch(runner)
    for i, batch in enumerate(batches):
        hook.after_test_iter(runner, i, None, batch)
    hook.after_test_epoch(runner)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_draws_every_sample(runner, picture, tmp_path):
    hook = ManipulationVisualizationHook(show_dir=str(tmp_path / 'out'))
    run(hook, runner, [make_sample(0, 0.5, picture), make_sample(1, 0.5)], [make_sample(12, 0.5, picture)])
    assert names(tmp_path / 'out') == ['000000_face.jpg', '000001_text.jpg', '000012_face.jpg']
    with Image.open(tmp_path / 'out' / '000000_face.jpg') as drawn:
        red, green, blue = drawn.getpixel((200, 100))
    assert green > 240 and red < 15 and blue < 15, 'the stored picture, RGB'


def test_a_picture_that_was_not_loaded_gives_a_plate(runner, tmp_path):
    sample = make_sample(0, 0.5)
    sample.set_metainfo(dict(img_path='nowhere/face.jpg'))
    run(ManipulationVisualizationHook(show_dir=str(tmp_path / 'out')), runner, [sample])
    assert names(tmp_path / 'out') == ['000000_face.jpg']


def test_stops_at_max_samples_and_starts_anew(runner, tmp_path):
    hook = ManipulationVisualizationHook(max_samples=2)
    for first in (0, 10):
        run(hook, runner, [make_sample(first + i, 0.5) for i in range(3)], [make_sample(first + 3, 0.5)])
    folder = tmp_path / 'log' / 'pictures'
    assert names(folder) == ['000000_text.jpg', '000001_text.jpg', '000010_text.jpg', '000011_text.jpg']


def test_draws_only_the_worst(runner, tmp_path):
    hook = ManipulationVisualizationHook(show_dir=str(tmp_path), worst=2)
    scores = [0.9, 0.1, 0.5, 0.3, 0.8]
    run(hook, runner, [make_sample(i, s) for i, s in enumerate(scores[:3])], [make_sample(3, 0.3), make_sample(4, 0.8)])
    assert names(tmp_path) == ['000001_text.jpg', '000003_text.jpg']


@pytest.mark.parametrize('main', [True, False])
def test_the_worst_of_all_processes_come_once_and_from_the_first(runner, tmp_path, monkeypatch, main):
    other = [make_sample(1, 0.1), make_sample(7, 0.2)]
    monkeypatch.setattr(module, 'all_gather_object', lambda kept: [kept, other])
    monkeypatch.setattr(module, 'is_main_process', lambda: main)
    hook = ManipulationVisualizationHook(show_dir=str(tmp_path), worst=2)
    run(hook, runner, [make_sample(0, 0.9), make_sample(1, 0.1)])
    assert names(tmp_path) == (['000001_text.jpg', '000007_text.jpg'] if main else [])


@pytest.mark.parametrize('kwargs', [dict(worst=0), dict(max_samples=-1), dict(worst=1, max_samples=1)])
def test_refuses_senseless_numbers(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        ManipulationVisualizationHook(**kwargs)


def test_refuses_a_visualizer_that_draws_nothing(runner):
    runner.visualizer = Visualizer()
    with pytest.raises(ValueError, match='ManipulationVisualizer'):
        ManipulationVisualizationHook().before_test_epoch(runner)


def test_pictures_are_drawn_in_the_frame_of_their_boxes(runner, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.new('RGB', (640, 480)).save(tmp_path / 'turned.png', exif=exif)
    for frame, width in (('stored', 640), ('seen', 480)):
        sample = make_sample(0, 0.5, str(tmp_path / 'turned.png'))
        sample.set_metainfo(dict(orientation=frame))
        run(ManipulationVisualizationHook(show_dir=str(tmp_path / frame)), runner, [sample])
        with Image.open(tmp_path / frame / '000000_turned.jpg') as drawn:
            assert drawn.width - width < 30


def test_the_limit_of_pixels_is_the_test_pipelines(runner, tmp_path):
    Image.new('RGB', (641, 480)).save(tmp_path / 'large.png')
    with pytest.raises(UnusableImageError, match='it has 641x480 pixels, the limit is max_pixels=307200'):
        run(ManipulationVisualizationHook(), runner, [make_sample(0, 0.5, str(tmp_path / 'large.png'))])
