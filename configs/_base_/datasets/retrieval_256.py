"""Evaluation at 256 pixels, where nothing is trained; as it stands, recall on COCO with Karpathy's splits.

5,000 images and 25,010 captions to test on. Pre-training and fine-tuning build on it too.
"""

data_root = 'data/coco/'  # dataset_coco.json, train2014/ and val2014/
ann_file = 'dataset_coco.json'
# The folder that the model and its corruptor read too; a name on the Hugging Face hub will do. Words are counted before
# tokens are.
tokenizer = dict(type='CaptionTokenizer', name='checkpoints/bert-base-uncased', max_length=50)
image_size = (256, 256)

resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
test_pipeline = [
    dict(type='LoadImageGroup', target_size=image_size),
    dict(type='CleanCaptions', max_words=35),
    dict(type='ForEachImage', transforms=[resize]),
    tokenizer,
    dict(type='PackCaptionInputs'),
]

val_dataloader = dict(
    batch_size=32,  # images, each with its five captions
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='RetrievalDataset',
        data_root=data_root,
        ann_file=ann_file,
        reader=dict(type='karpathy', split='val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='RetrievalDataset',
        data_root=data_root,
        ann_file=ann_file,
        reader=dict(type='karpathy', split='test'),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='Evaluator', metrics=[dict(type='ImageTextRecall')])
test_evaluator = val_evaluator
