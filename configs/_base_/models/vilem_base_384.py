"""ViLEM at 384 pixels, to be fine-tuned from its own pre-training."""

_base_ = './vilem_base.py'

model = dict(
    image_encoder=dict(backbone=dict(img_size=384), init_cfg=None),
    text_encoder=dict(init_cfg=None),
    correction_head=dict(init_cfg=None),
    contrastive_head=dict(multi_positive=True),  # captions of one picture meet in a batch or a queue
    init_cfg=dict(type='RetrieverPretrained', checkpoint='work_dirs/vilem_base_cc4m/epoch_20.pth'),
)
