"""DGM⁴ at 256 pixels and 50 RoBERTa tokens (Section 3.1 of the paper; Section 3 of its data set's practice)."""

data_root = 'data/DGM4/'
# A name on the Hugging Face hub, or a folder with the saved tokenizer.
tokenizer = dict(type='WordTokenizer', name='roberta-base', max_length=50)
image_size = (256, 256)
# How a user's caption becomes one like DGM⁴'s, of ASCII letters, digits and spaces; None leaves captions as they are.
caption_cleaning = 'dgm4'

enhance = dict(magnitude_range=(-0.9, 0.9), random_negative_prob=0.0)  # a factor of .1 to 1.9: 1.36 at level 7
augment = dict(
    type='mmpretrain.RandAugment',
    policies=[  # the published list; no geometry: it would move the box
        dict(type='Compose', transforms=[]),  # Identity
        dict(type='mmpretrain.AutoContrast'),
        dict(type='mmpretrain.Equalize'),
        dict(type='mmpretrain.Brightness', **enhance),
        dict(type='mmpretrain.Sharpness', **enhance),
    ],
    num_policies=2,
    magnitude_level=7,
    # Every chosen operation is applied. (prob=0.5 in copies of ALBEF's code, from which the list is: more than a third
    # of the pictures stay as they are.)
    hparams=dict(prob=1.0),
)
resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
train_pipeline = [
    tokenizer,  # first: a variant replaces it by [tokenizer, *_base_.train_pipeline[1:]]
    dict(type='LoadImage', target_size=image_size),
    dict(type='RandomFlip', prob=0.5),
    resize,
    augment,
    dict(type='PackManipulationInputs'),
]
test_pipeline = [
    tokenizer,
    dict(type='LoadImage', target_size=image_size),
    resize,
    dict(type='PackManipulationInputs'),
]

train_dataloader = dict(
    batch_size=32,  # a GPU; the paper does not say: 32 x 8
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='DGM4Dataset',
        data_root=data_root,
        ann_file='metadata/train.json',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DGM4Dataset',
        data_root=data_root,
        ann_file='metadata/val.json',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DGM4Dataset',
        data_root=data_root,
        ann_file='metadata/test.json',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
# Counts after each epoch; on_bad_record='skip' may skip as many as it will.
custom_hooks = [dict(type='SkippedPictureHook', max_share=1.0)]
# The twelve metrics of the paper. protocol='strict' leaves out the published quirk (docs/evaluation.md).
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
