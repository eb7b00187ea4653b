"""The ablations' data: 1 million pairs of CC3M (Section 4.5), which ones the paper does not say."""

_base_ = './caption_cc4m.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CaptionDataset',
        data_root='data/cc3m/',
        ann_file='Train_GCC-training.tsv',
        data_prefix=dict(img_path='images'),
        reader=dict(type='url_table', columns=('caption', 'url'), file_name='{row:09d}.jpg'),
        skip_bad_pictures=True,
        indices=1_000_000,
        pipeline=_base_.train_pipeline,
    )
)
