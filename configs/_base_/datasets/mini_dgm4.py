"""The embedded small set at 128 pixels: python tools/data/make_mini_dgm4.py data/mini_dgm4 --num 12000"""

data_root = 'data/mini_dgm4/'
tokenizer = dict(type='WordTokenizer', name=data_root + 'tokenizer', max_length=50)
image_size = (128, 128)

resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
train_pipeline = [
    dict(type='LoadImage', target_size=image_size),
    dict(type='RandomFlip', prob=0.5),
    resize,
    dict(type='PackManipulationInputs'),
]
test_pipeline = [dict(type='LoadImage', target_size=image_size), resize, dict(type='PackManipulationInputs')]

train_dataloader = dict(
    batch_size=24,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='DGM4Dataset',
        data_root=data_root,
        ann_file='metadata/train.json',
        tokenizer=tokenizer,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=1,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DGM4Dataset',
        data_root=data_root,
        ann_file='metadata/val.json',
        tokenizer=tokenizer,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=1,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DGM4Dataset',
        data_root=data_root,
        ann_file='metadata/test.json',
        tokenizer=tokenizer,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_evaluator = dict(
    type='Evaluator',
    metrics=[
        dict(type='BinaryMetric'),
        dict(type='ManipulationTypeMetric'),
        dict(type='BoxMetric', protocol='dgm4'),
        dict(type='TokenMetric'),
    ],
)
test_evaluator = val_evaluator
