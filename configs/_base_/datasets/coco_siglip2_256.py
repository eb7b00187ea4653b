"""COCO with Karpathy's splits as SigLIP 2 reads it: 256 pixels, squashed, SigLIP 2's tokenizer."""

_base_ = './coco_retrieval.py'

tokenizer = dict(type='CaptionTokenizer', name='google/siglip2-base-patch16-256', max_length=64, by_word=False)
image_size = (256, 256)
crop = dict(_base_.crop, scale=image_size)
# The 10 pixels of a translation are another share of this width.
augment_policies = [
    dict(p, magnitude_range=(0, 10 / 256)) if p['type'] == 'mmpretrain.Translate' else p
    for p in _base_.augment_policies
]
augment = dict(_base_.augment, policies=augment_policies)
resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bilinear', backend='pillow')
train_pipeline = [
    dict(type='LoadImageGroup', target_size=(363, 363)),  # the smallest crop still has 256 pixels
    dict(type='CleanCaptions', max_words=30),
    dict(type='FlipWithCaptions', prob=0.5, sides='keep'),  # left stays left
    dict(type='ForEachImage', transforms=[crop, augment]),
    tokenizer,
    dict(type='PackCaptionInputs'),
]
test_pipeline = [
    dict(type='LoadImageGroup', target_size=image_size),
    dict(type='CleanCaptions', max_words=35),
    dict(type='ForEachImage', transforms=[resize]),
    tokenizer,
    dict(type='PackCaptionInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
