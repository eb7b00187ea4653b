"""What all tests share: a small generated data set and a tiny config on it."""

import logging
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from project import ROOT, run_tool
from tiny_vilem import write_tiny_retriever

from mmvlforge.registry import MODELS

# A logger that one test made writes to that test's output, which is closed in the next: no traceback of it there.
logging.raiseExceptions = False


@pytest.fixture(scope='session')
def mini_set(tmp_path_factory) -> Path:
    """A mini set of 30 training, 9 validation and 13 test records: none divides by 2 processes or by the batch."""
    out = tmp_path_factory.mktemp('mini') / 'dgm4'
    run_tool('-m', 'mmvlforge', 'forge', 'news', out, '--num', 30, '--num-val', 9, '--num-test', 13, '--seed', 3)
    return out


TINY = """
_base_ = {base!r}
data_root = {data!r}
tokenizer = dict(type='WordTokenizer', name={data!r} + 'tokenizer', max_length=50)
train_pipeline = [tokenizer, *_base_.train_pipeline[1:]]
test_pipeline = [tokenizer, *_base_.test_pipeline[1:]]
train_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, pipeline=test_pipeline))
model = dict(
    image_encoder=dict(embed_dims=32, channels=(8, 8, 8, 16)),
    text_encoder=dict(config=dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)),
    neck=dict(image_dims=32, text_dims=32, embed_dims=32, num_heads=2, ffn_dims=32, drop=0.1, num_image_layers=1,
              num_text_layers=1),
    binary_head=dict(in_dims=32), type_head=dict(in_dims=32), box_head=dict(in_dims=32, num_heads=2),
    token_head=dict(in_dims=32, num_heads=2))
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=2))
"""


@pytest.fixture(scope='session')
def tiny_config(mini_set, tmp_path_factory) -> Path:
    """The mini config with 32 channels on the small set; dropout on, two epochs."""
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    path.write_text(TINY.format(base=str(ROOT / 'configs/dgm4/dca_imq_mini.py'), data=f'{mini_set}/'))
    return path


@pytest.fixture(scope='session')
def detector(tiny_config, tmp_path_factory) -> Path:
    """Folder with a tiny detector's config and its untrained weights."""
    root = tmp_path_factory.mktemp('detector')
    cfg = Config.fromfile(str(tiny_config))
    cfg.dump(root / 'tiny.py')
    init_default_scope('mmvlforge')
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), root / 'tiny.pth')
    return root


@pytest.fixture(scope='session')
def retriever(tmp_path_factory) -> Path:
    """Folder with six pictures, a tiny ViLEM's config and its untrained weights."""
    return write_tiny_retriever(tmp_path_factory.mktemp('retriever'))
