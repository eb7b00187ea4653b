"""The embedded small caption set at 128 pixels.

mmvlforge forge captions data/mini_captions --num 12000
"""

_base_ = './coco_retrieval.py'

data_root = 'data/mini_captions/'
ann_file = 'dataset_mini.json'
tokenizer = dict(type='CaptionTokenizer', name=data_root + 'tokenizer', max_length=50)
# Said with every answer of a model that was trained on it.
trained_on = 'drawn scenes (mmvlforge forge captions)'
model_warnings = ['the model knows only drawn scenes']
image_size = (128, 128)

resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
# Without crop: place and number of things are what the captions tell.
train_pipeline = [
    dict(type='LoadImageGroup', target_size=image_size),
    dict(type='CleanCaptions', max_words=30),
    dict(type='FlipWithCaptions', prob=0.5, sides='swap'),
    dict(type='ForEachImage', transforms=[resize]),
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

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    pin_memory=False,
    dataset=dict(data_root=data_root, ann_file=ann_file, pipeline=train_pipeline),
)
test_dataset = dict(data_root=data_root, ann_file=ann_file, pipeline=test_pipeline)
val_dataloader = dict(num_workers=1, persistent_workers=False, pin_memory=False, dataset=test_dataset)
test_dataloader = dict(num_workers=1, persistent_workers=False, pin_memory=False, dataset=test_dataset)
