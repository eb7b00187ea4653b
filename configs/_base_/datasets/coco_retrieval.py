"""COCO with Karpathy's splits at 384 pixels: fine-tuning on 113,287 images, recall on 5,000 (25,010 captions)."""

data_root = 'data/coco/'  # dataset_coco.json, train2014/ and val2014/
ann_file = 'dataset_coco.json'
# The folder that the model and its corruptor read too; a name on the Hugging Face hub will do. Words are counted before
# tokens are.
tokenizer = dict(type='CaptionTokenizer', name='checkpoints/bert-base-uncased', max_length=50)
image_size = (384, 384)

# The usual operations without those that change a colour, which captions name.
augment_policies = [
    dict(type='mmpretrain.AutoContrast'),
    dict(type='mmpretrain.Equalize'),
    dict(type='mmpretrain.Brightness', magnitude_range=(0, 0.9)),
    dict(type='mmpretrain.Sharpness', magnitude_range=(0, 0.9)),
    dict(type='mmpretrain.Rotate', magnitude_range=(0, 30)),
    dict(type='mmpretrain.Shear', magnitude_range=(0, 0.3), direction='horizontal'),
    dict(type='mmpretrain.Shear', magnitude_range=(0, 0.3), direction='vertical'),
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.45), direction='horizontal'),
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.45), direction='vertical'),
]
augment = dict(type='mmpretrain.RandAugment', policies=augment_policies, num_policies=2, magnitude_level=7)
crop = dict(
    type='mmpretrain.RandomResizedCrop',
    scale=image_size,
    crop_ratio_range=(0.5, 1.0),
    interpolation='bicubic',
    backend='pillow',
)
resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
train_pipeline = [
    dict(type='LoadImageGroup', target_size=(544, 544)),  # the smallest crop still has 384 pixels
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

train_dataloader = dict(
    batch_size=32,  # a GPU; the paper does not say
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CaptionDataset',
        data_root=data_root,
        ann_file=ann_file,
        reader=dict(type='karpathy', split='train'),
        pipeline=train_pipeline,
    ),
)
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
