"""Pre-training on CC13M: CC4M and CC12M, 14.1 million captions (Section 4.1)."""

_base_ = './caption_cc4m.py'

cc12m = dict(
    type='CaptionDataset',
    data_root='data/cc12m/',
    ann_file='cc12m.tsv',
    data_prefix=dict(img_path='images'),
    reader=dict(type='url_table', columns=('url', 'caption'), file_name='{row:09d}.jpg'),
    skip_bad_pictures=True,
)
train_dataloader = dict(
    dataset=dict(
        datasets=[_base_.cc3m, _base_.sbu, _base_.coco, _base_.visual_genome, cc12m],
        weights=[2950, 860, 567, 769, 9000],
        size=14_100_000,
    ),
)
# 3.3 of 12.4 million links were dead for the authors.
custom_hooks = [dict(type='SkippedPictureHook', max_share=0.4)]
