"""COCO with Karpathy's splits as CLIP reads it: 224 pixels, the middle of the picture, CLIP's tokenizer."""

_base_ = './coco_retrieval.py'

tokenizer = dict(type='CaptionTokenizer', name='openai/clip-vit-base-patch16', max_length=77, by_word=False)
image_size = (224, 224)
crop = dict(_base_.crop, scale=image_size)
# The 10 pixels of a translation are another share of this width.
augment_policies = [
    dict(p, magnitude_range=(0, 10 / 224)) if p['type'] == 'mmpretrain.Translate' else p
    for p in _base_.augment_policies
]
augment = dict(_base_.augment, policies=augment_policies)
# CLIP's own evaluation: the short side to 224 pixels, then the middle.
edge = dict(type='mmpretrain.ResizeEdge', scale=224, edge='short', interpolation='bicubic', backend='pillow')
middle = dict(type='mmpretrain.CenterCrop', crop_size=224)
train_pipeline = [
    dict(type='LoadImageGroup', target_size=(317, 317)),  # the smallest crop still has 224 pixels
    dict(type='CleanCaptions', max_words=30),
    dict(type='FlipWithCaptions', prob=0.5, sides='keep'),  # left stays left
    dict(type='ForEachImage', transforms=[crop, augment]),
    tokenizer,
    dict(type='PackCaptionInputs'),
]
test_pipeline = [
    dict(type='LoadImageGroup', target_size=image_size),
    dict(type='CleanCaptions', max_words=35),
    dict(type='ForEachImage', transforms=[edge, middle]),
    tokenizer,
    dict(type='PackCaptionInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
