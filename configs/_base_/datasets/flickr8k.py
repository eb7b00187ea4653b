"""Flickr8k, squashed to 288 pixels: 6,000 training photos with five captions each (3,000 in docs/real_photos.md), a
thousand to choose on, a thousand to test on. The photos' features are worked out once and kept, so that an epoch costs
only what is trained.
"""

data_root = 'data/flickr8k/'
# The csv form that goes round, with lists of the splits' file names. For the original form:
# ann_file='Flickr8k.token.txt' and reader=dict(type='flickr8k', images='Flickr_8k.trainImages.txt').
ann_file = 'captions.csv'  # columns image and caption
pictures = dict(img_path='images')
tokenizer = dict(type='CaptionTokenizer', name='starter::minilm', max_length=50)
image_size = (288, 288)  # see photos_288.py

resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
read = [dict(type='LoadImageGroup', target_size=image_size), dict(type='ForEachImage', transforms=[resize])]
train_pipeline = [
    dict(type='LoadImageFeatures', folder='work_dirs/flickr8k/features', transforms=read),
    dict(type='CleanCaptions', max_words=30),
    tokenizer,
    dict(type='PackCaptionInputs'),
]
test_pipeline = [*read, dict(type='CleanCaptions', max_words=35), tokenizer, dict(type='PackCaptionInputs')]

train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CaptionDataset',
        data_root=data_root,
        ann_file=ann_file,
        data_prefix=pictures,
        reader=dict(type='csv', images='train.txt'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,  # photos, each with its captions; more are no faster on a CPU, whose caches they leave
    num_workers=1,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='RetrievalDataset',
        data_root=data_root,
        ann_file=ann_file,
        data_prefix=pictures,
        reader=dict(type='csv', images='dev.txt'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], reader=dict(type='csv', images='test.txt'))
)
val_evaluator = dict(type='Evaluator', metrics=[dict(type='ImageTextRecall')])
test_evaluator = val_evaluator
# The photos that projections are aligned to before training.
fit_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], reader=dict(type='csv', images='train.txt'))
)
ridge_start = dict(
    type='RidgeAlignment',
    dataloader=fit_dataloader,
    features='image_encoder.stem',
    projection='image_encoder.stem_proj',
    keep='work_dirs/flickr8k/ridge.safetensors',
)
custom_hooks = [dict(type='FeatureCacheHook', encoder='image_encoder.stem')]
trained_on = 'Flickr8k'
