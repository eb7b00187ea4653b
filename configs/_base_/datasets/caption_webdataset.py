"""Pre-training on tar shards as img2dataset writes them, here CC12M; recall on COCO without fine-tuning."""

_base_ = './caption_cc4m.py'

train_dataloader = dict(
    sampler=None,  # the shards are shared out by the data set
    dataset=dict(
        _delete_=True,
        type='WebCaptionDataset',
        shards='data/cc12m/{00000..01242}.tar',  # at least one for each worker of each GPU
        epoch_size=9_043_968,  # 32 GPUs x 8 workers x 64 samples, 552 times
        pipeline=_base_.train_pipeline,
    ),
)
