"""What the model is fed, drawn; and ``mmvlforge data browse``."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from transformers import BertTokenizerFast

from mmvlforge.apis.browsing import fed_picture, fed_sample
from mmvlforge.cli import main
from mmvlforge.datasets.transforms import WordTokenizer
from mmvlforge.registry import DATASETS
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import load_picture
from mmvlforge.visualization.manipulation_visualizer import MARGIN, TRUE_COLOR

PIECES = ['<s>', ' Blair', ' un', 'done', 'again', '', '</s>']


class Tokenizer:
    """Decodes token i to PIECES[i]."""

    def decode(self, ids):
        return PIECES[ids[0]]


class PiecesTokenizer(WordTokenizer):
    tokenizer = Tokenizer()


def make_item(picture=True):
    sample = VLDataSample(metainfo=dict(index=7, img_path='a/face.jpg', text='x y z', word_ids=[0, 1, 1, 1, 2]))
    image = torch.zeros(3, 120, 240, dtype=torch.uint8)
    image[0] = 255  # BGR: blue
    inputs = dict(input_ids=torch.arange(7), **(dict(image=image) if picture else {}))
    targets = dict(
        fake=torch.tensor(1),
        image_type=torch.tensor(1),
        text_type=torch.tensor(2),
        box=torch.tensor([0.5, 0.5, 0.25, 0.5]),
        has_box=torch.tensor(True),
        tokens=torch.tensor([-100, 0, 1, 1, 1, 0, -100]),
    )
    return dict(inputs=inputs, targets=targets, data_samples=sample)


@DATASETS.register_module(force=True)
class FakeFedDataset:
    """Two items of the shape that the real data set yields."""

    def __init__(self, picture=True):
        self.picture = picture
        self.metainfo = dict(image_types=('real', 'face_swap', 'face_attribute'), text_types=('real', 'ts', 'ta'))
        self.pipeline = SimpleNamespace(transforms=[PiecesTokenizer('pieces')])

    def __len__(self):
        return 1

    def __getitem__(self, i):
        return make_item(self.picture)


@pytest.fixture(autouse=True)
def restore_scope():
    """The command sets the default scope of this process; other tests must not see it."""
    instances = DefaultScope._instance_dict.copy()
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(instances)


def test_tokens_and_box_are_those_of_the_targets():
    item = make_item()
    picture = fed_picture(item)
    assert picture.shape == (120, 240, 3) and tuple(picture[0, 0]) == (0, 0, 255)
    sample = fed_sample(item, picture, Tokenizer())
    assert sample.text.split() == ['<s>', 'Blair', 'un', '##done', '##again', '␣', '</s>']
    assert sample.word_ids == [1, 2, 3, 4, 5]
    assert sample.gt_tokens.tolist() == [0, 1, 1, 1, 0]
    assert sample.gt_box.tolist() == [90, 30, 150, 90]
    assert (sample.gt_fake, sample.gt_image_type, sample.gt_text_type) == (1, 1, 2)


def write_config(folder, **dataset):
    path = folder / 'config.py'
    path.write_text(f'train_dataloader = dict(dataset=dict(type="FakeFedDataset", **{dataset}))')
    return str(path)


def test_writes_pictures(tmp_path, capsys):
    args = [write_config(tmp_path), '--out', str(tmp_path / 'out'), '--num', '5']
    assert main(['data', 'browse', *args]) == 0
    (file,) = (tmp_path / 'out').iterdir()
    assert file.name == '000007_face.png'
    assert '240x120 pixels, 7 tokens' in capsys.readouterr().out
    red = np.nonzero((load_picture(str(file))[: 240 + MARGIN] == TRUE_COLOR).all(-1))
    assert (red[0].min(), red[1].max()) == (60 + MARGIN - 4, 300 + MARGIN + 3)
    assert main(['data', 'browse', *args, '--cfg-options', 'train_dataloader.dataset.picture=False']) == 0
    assert not (load_picture(str(file))[: 240 + MARGIN] == TRUE_COLOR).all(-1).any()


def test_a_group_is_drawn_whole(tmp_path, capsys):
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'dog', '##s']
    (tmp_path / 'vocab.txt').write_text('\n'.join(words))
    BertTokenizerFast(vocab_file=str(tmp_path / 'vocab.txt')).save_pretrained(tmp_path / 'words')
    for name, color in (('0', (200, 0, 0)), ('1', (0, 0, 200))):
        Image.new('RGB', (60, 30), color).save(tmp_path / f'ex_0_img_{name}.png')
    example = dict(id=0, caption_0='a dog', caption_1='dogs a', collapsed_tag='Object', num_main_preds=1)
    example.update(image_0='ex_0_img_0', image_1='ex_0_img_1')
    (tmp_path / 'examples.jsonl').write_text(json.dumps(example))
    config = tmp_path / 'config.py'
    config.write_text(f"""
pipeline = [
    dict(type='LoadImageGroup'),
    dict(type='CaptionTokenizer', name={str(tmp_path / 'words')!r}),
    dict(type='PackCaptionInputs'),
]
test_dataloader = dict(
    dataset=dict(
        type='RetrievalDataset', data_root={str(tmp_path)!r}, ann_file='examples.jsonl',
        reader=dict(type='winoground'), pipeline=pipeline,
    )
)
""")
    args = [str(config), '--out', str(tmp_path / 'out'), '--split', 'test']
    assert main(['data', 'browse', *args]) == 0
    assert '000000_ex_0_img_0.png: 2 pictures, 2 captions' in capsys.readouterr().out
    drawn = load_picture(str(tmp_path / 'out' / '000000_ex_0_img_0.png'))
    left, right = (drawn[MARGIN + 60, MARGIN + x].tolist() for x in (60, 420))
    assert (left, right) == ([200, 0, 0], [0, 0, 200])
    # below: a line for each caption
    assert (drawn[120 + 2 * MARGIN :] < 100).any(axis=(1, 2)).sum() > 20


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['nowhere.py', '--out', 'x'], 'nowhere.py'),
        (['CONFIG', '--out', 'x', '--split', 'val'], 'val_dataloader'),
        (['CONFIG', '--out', 'x', '--split', 'dev'], '--split'),
        (['CONFIG', '--out', 'x', '--num', '0'], '--num'),
        (['CONFIG'], '--out'),
    ],
)
def test_wrong_arguments(tmp_path, capsys, args, message):
    args = [write_config(tmp_path) if arg == 'CONFIG' else arg for arg in args]
    assert main(['data', 'browse', *args]) == 2
    assert message in capsys.readouterr().err
