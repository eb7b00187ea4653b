"""Pre-training on CC4M at 256 pixels: CC3M, SBU, COCO and Visual Genome, 5.1 million captions (Section 4.1).

Recall on COCO without fine-tuning.
"""

_base_ = ['./retrieval_256.py', './caption_augment.py']

crop = dict(
    type='mmpretrain.RandomResizedCrop',
    scale=_base_.image_size,
    crop_ratio_range=(0.2, 1.0),
    interpolation='bicubic',
    backend='pillow',
)
train_pipeline = [
    dict(type='LoadImageGroup', target_size=(512, 512)),
    dict(type='CleanCaptions', max_words=30),
    dict(type='FlipWithCaptions', prob=0.5, sides='keep'),
    dict(type='ForEachImage', transforms=[crop, _base_.augment]),
    _base_.tokenizer,
    dict(type='PackCaptionInputs'),
]

# file_name says what the downloader called the picture of each row.
cc3m = dict(
    type='CaptionDataset',
    data_root='data/cc3m/',
    ann_file='Train_GCC-training.tsv',
    data_prefix=dict(img_path='images'),
    reader=dict(type='url_table', columns=('caption', 'url'), file_name='{row:09d}.jpg'),
    skip_bad_pictures=True,
)
sbu = dict(
    type='CaptionDataset',
    data_root='data/sbu/',
    ann_file='sbu-captions-all.json',
    data_prefix=dict(img_path='images'),
    reader=dict(type='sbu', file_name='{row:09d}.jpg'),
    skip_bad_pictures=True,
)
coco = dict(
    type='CaptionDataset',
    data_root=_base_.data_root,
    ann_file=_base_.ann_file,
    reader=dict(type='karpathy', split='train'),
)
visual_genome = dict(
    type='CaptionDataset',
    data_root='data/visual_genome/',
    ann_file='region_descriptions.json',
    data_prefix=dict(img_path='VG_100K'),  # with the pictures of VG_100K_2
    reader=dict(type='visual_genome'),
    skip_bad_pictures=True,  # some regions lie outside their picture
)
train_dataloader = dict(
    batch_size=64,  # a GPU; 32 GPUs in the paper
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='MixedCaptionDataset',
        datasets=[cc3m, sbu, coco, visual_genome],
        # Thousands of pairs; of Visual Genome's 5.4 million regions an epoch takes as many as fit the paper's sum.
        weights=[2950, 860, 567, 769],
        size=5_100_000,
        pipeline=train_pipeline,
    ),
)
# Links die: a tenth of CC3M is an alarm if it was complete, and normal for a late download.
custom_hooks = [dict(type='SkippedPictureHook', max_share=0.2)]
