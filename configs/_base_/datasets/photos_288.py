"""One's own photos, squashed to 288 pixels.

EfficientNet-Lite0 was trained on crops of 224 pixels, in which things look larger than in whole pictures. RSUM of
`mmvlforge align` on Flickr8k (pictures of 224 pixels, enlarged): 206.0 at 224 pixels, 217.1 at 288; more were of no
more use in a rough try (219 at 288, 222 at 320, 221 at 352).
"""

_base_ = './photos_224.py'

image_size = (288, 288)
resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
test_pipeline = [
    dict(type='LoadImageGroup', target_size=image_size),
    dict(type='CleanCaptions', max_words=35),
    dict(type='ForEachImage', transforms=[resize]),
    _base_.tokenizer,
    dict(type='PackCaptionInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
