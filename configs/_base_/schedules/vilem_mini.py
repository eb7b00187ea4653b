"""A few minutes on a CPU: each caption once, so each picture five times."""

_base_ = './mini.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False),
]
train_cfg = dict(max_epochs=1, val_interval=1)
