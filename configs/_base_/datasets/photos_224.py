"""One's own photos with captions, squashed to 224 pixels: a csv file with the columns image and caption.

Where nothing is trained. `mmvlforge align` puts the user's file and folder here.
"""

data_root = 'data/photos/'  # captions.csv, images/, and for starter_ridge.py train_captions.csv
ann_file = 'captions.csv'
tokenizer = dict(type='CaptionTokenizer', name='starter::minilm', max_length=50)
image_size = (224, 224)

resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
test_pipeline = [
    dict(type='LoadImageGroup', target_size=image_size),
    dict(type='CleanCaptions', max_words=35),
    dict(type='ForEachImage', transforms=[resize]),
    tokenizer,
    dict(type='PackCaptionInputs'),
]
val_dataloader = dict(
    batch_size=4,  # pictures; more are no faster on a CPU, whose caches they leave
    num_workers=1,
    persistent_workers=False,
    pin_memory=False,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='RetrievalDataset',
        data_root=data_root,
        ann_file=ann_file,
        data_prefix=dict(img_path='images'),
        reader=dict(type='csv'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Evaluator', metrics=[dict(type='ImageTextRecall')])
test_evaluator = val_evaluator
