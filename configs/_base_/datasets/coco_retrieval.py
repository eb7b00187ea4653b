"""COCO with Karpathy's splits at 384 pixels: fine-tuning on 113,287 images, recall on 5,000 (25,010 captions)."""

_base_ = ['./retrieval_256.py', './caption_augment.py']

image_size = (384, 384)
crop = dict(
    type='mmpretrain.RandomResizedCrop',
    scale=image_size,
    crop_ratio_range=(0.5, 1.0),
    interpolation='bicubic',
    backend='pillow',
)
# The 10 pixels of a translation are another share of this width.
augment_policies = [
    dict(p, magnitude_range=(0, 10 / 384)) if p['type'] == 'mmpretrain.Translate' else p
    for p in _base_.augment_policies
]
augment = dict(_base_.augment, policies=augment_policies)
resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
train_pipeline = [
    dict(type='LoadImageGroup', target_size=(544, 544)),  # the smallest crop still has 384 pixels
    dict(type='CleanCaptions', max_words=30),
    dict(type='FlipWithCaptions', prob=0.5, sides='keep'),  # left stays left
    dict(type='ForEachImage', transforms=[crop, augment]),
    _base_.tokenizer,
    dict(type='PackCaptionInputs'),
]
test_pipeline = [
    dict(type='LoadImageGroup', target_size=image_size),
    dict(type='CleanCaptions', max_words=35),
    dict(type='ForEachImage', transforms=[resize]),
    _base_.tokenizer,
    dict(type='PackCaptionInputs'),
]

train_dataloader = dict(
    batch_size=32,  # a GPU; the paper does not say
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CaptionDataset',
        data_root=_base_.data_root,
        ann_file=_base_.ann_file,
        reader=dict(type='karpathy', split='train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
