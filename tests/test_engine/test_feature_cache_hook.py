"""Training on cached features: the losses of training on the pictures, encoded once."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from project import ROOT
from tiny_vilem import WORDS

from mmvlforge.config_files import load_config
from mmvlforge.datasets.feature_cache import FeatureCache
from mmvlforge.engine.hooks import FeatureCacheHook

STEM = dict(type='TIMMImageEncoder', model_name='tf_efficientnet_lite0', frozen=True)


def config(root, work_dir, cached: bool) -> Config:
    """Two epochs of contrastive learning on the tiny retriever's pictures, on a frozen network of random weights."""
    cfg = load_config(ROOT / 'configs/vilem/vilem_mini_table5_a.py')
    tokenizer = dict(type='CaptionTokenizer', name=str(root / 'tokenizer'), max_length=50)
    cfg.resize.scale = (64, 64)
    read = [dict(type='LoadImageGroup'), dict(type='ForEachImage', transforms=[dict(cfg.resize)])]
    if cached:
        read = [dict(type='LoadImageFeatures', folder=str(work_dir / 'features'), transforms=read)]
    pipeline = [*read, dict(type='CleanCaptions', max_words=30), tokenizer, dict(type='PackCaptionInputs')]
    reader = dict(type='karpathy', split='test')
    dataset = dict(data_root=f'{root}/', ann_file='captions.json', pipeline=pipeline, reader=reader)
    cfg.merge_from_dict(
        dict(
            work_dir=str(work_dir),
            train_dataloader=dict(batch_size=3, num_workers=0, persistent_workers=False),
            model=dict(image_dims=1280, embed_dims=16, text_dims=16),
            train_cfg=dict(max_epochs=2, val_begin=9),
            log_level='WARNING',
        )
    )
    cfg.train_dataloader.dataset.update(dataset)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=9)
    cfg.model.image_encoder = dict(type='SingleLevelEncoder', stem=STEM)
    cfg.model.text_encoder.update(vocab_size=len(WORDS), embed_dims=16, ffn_dims=16, num_layers=1)
    cfg.model.contrastive_head.update(embed_dims=16, queue_size=8)
    if cached:
        cfg.custom_hooks = [dict(type='FeatureCacheHook', batch_size=4, dtype='float32')]
    return cfg


def trained(cfg: Config) -> Runner:
    torch.manual_seed(0)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_cached_features_teach_what_pictures_do_and_are_made_once(retriever, tmp_path, monkeypatch):
    plain = trained(config(retriever, tmp_path / 'plain', False))
    cached = trained(config(retriever, tmp_path / 'cached', True))
    for name in ('image_proj.weight', 'text_proj.weight', 'text_encoder.word_embed.weight'):
        found, wanted = (runner.model.state_dict()[name] for runner in (cached, plain))
        assert torch.allclose(found, wanted, atol=1e-4), name
    cache = FeatureCache(tmp_path / 'cached/features')
    assert cache.done == len(cache.pictures) == 6

    def no_more(*args):
        raise AssertionError('encoded again')

    monkeypatch.setattr('mmvlforge.datasets.feature_cache.FeatureCache.add', no_more)
    trained(config(retriever, tmp_path / 'cached', True))


def test_features_of_other_weights_or_pictures_prepared_otherwise_are_refused(retriever, tmp_path):
    cfg = config(retriever, tmp_path, True)
    trained(cfg)
    other = config(retriever, tmp_path, True)
    other.train_dataloader.dataset.pipeline[0].transforms[1].transforms[0].scale = (96, 96)
    with pytest.raises(ValueError, match='made with other preprocessing'):
        trained(other)
    torch.manual_seed(1)
    runner = Runner.from_cfg(config(retriever, tmp_path, True))
    with torch.no_grad():
        runner.model.image_encoder.stem.backbone.conv_stem.weight.add_(1)
    with pytest.raises(ValueError, match='made with other weights'):
        runner.train()


def test_what_would_change_pictures_or_their_encoder_is_refused(retriever, tmp_path):
    flipped = config(retriever, tmp_path, True)
    flipped.train_dataloader.dataset.pipeline.insert(1, dict(type='FlipWithCaptions'))
    with pytest.raises(ValueError, match='FlipWithCaptions after LoadImageFeatures: pictures are encoded once'):
        trained(flipped)
    learning = config(retriever, tmp_path, True)
    learning.model.image_encoder.stem = dict(STEM, frozen=False)
    with pytest.raises(ValueError, match=r'image_encoder.stem of the model is trained: set frozen=True'):
        trained(learning)
    assert FeatureCacheHook(dtype='float16').dtype.itemsize == 2


def detector_config(tiny_config, work_dir, cached: bool) -> Config:
    """Two epochs of the tiny detector on two frozen networks of random weights."""
    cfg = Config.fromfile(str(tiny_config))
    cfg.resize.scale = (64, 64)
    tokenizer, load, _, _, pack = cfg.train_pipeline
    read = [load, cfg.resize]
    if cached:
        read = [dict(type='LoadImageFeatures', folder=str(work_dir / 'features'), transforms=read)]
        cfg.custom_hooks = [dict(type='FeatureCacheHook', encoder='image_encoder', batch_size=4, dtype='float32')]
    cfg.train_dataloader.dataset.pipeline = [tokenizer, *read, pack]
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.model.image_encoder = dict(type='ConcatImageEncoder', encoders=[STEM, dict(STEM, fine_level=3)])
    cfg.model.neck.image_dims = 2 * 1280 + 4 * 112
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=9)
    cfg.work_dir, cfg.log_level = str(work_dir), 'WARNING'
    return cfg


def test_a_pair_is_taught_from_features_as_from_its_picture(tiny_config, tmp_path):
    """Boxes too: the picture's size is still read."""
    plain = trained(detector_config(tiny_config, tmp_path / 'plain', False))
    cached = trained(detector_config(tiny_config, tmp_path / 'cached', True))
    for name in ('neck.image_transform.weight', 'box_head.box_mlp.0.weight', 'token_head.reduce_token.weight'):
        found, wanted = (runner.model.state_dict()[name] for runner in (cached, plain))
        assert torch.allclose(found, wanted, atol=1e-4), name
    assert FeatureCache(tmp_path / 'cached/features').done == 30
    both = detector_config(tiny_config, tmp_path / 'both', True)  # data sets that share a folder
    training = both.train_dataloader.dataset
    both.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[training, dict(training, ann_file='metadata/val.json')]
    )
    trained(both)
    assert FeatureCache(tmp_path / 'both/features').done == 39
    other = detector_config(tiny_config, tmp_path / 'other', True)
    second = dict(both.train_dataloader.dataset.datasets[1], pipeline=[*training.pipeline])
    second['pipeline'][1] = dict(second['pipeline'][1], transforms=[dict(type='LoadImage')])
    other.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[training, second])
    with pytest.raises(ValueError, match='both/features and prepare pictures otherwise'):
        trained(other)
    flipped = detector_config(tiny_config, tmp_path / 'cached', True)
    flipped.train_dataloader.dataset.pipeline.insert(2, dict(type='RandomFlip', prob=0.5))
    with pytest.raises(ValueError, match='RandomFlip after LoadImageFeatures: pictures are encoded once'):
        trained(flipped)
    inside = detector_config(tiny_config, tmp_path / 'inside', True)
    inside.train_dataloader.dataset.pipeline[1]['transforms'].insert(1, dict(type='RandomFlip', prob=0.5))
    with pytest.raises(ValueError, match='a transform of LoadImageFeatures changes pictures at random'):
        trained(inside)
