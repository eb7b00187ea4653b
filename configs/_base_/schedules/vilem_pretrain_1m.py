"""The recipe on 1 million pairs: 2000 steps of warm-up are 4 of the 20 epochs, so that the cosine begins after them."""

_base_ = './vilem_pretrain.py'

warm_up = 2000 / 489  # in epochs: 1 million pairs are 489 steps of 2048
cosine = dict(begin=warm_up, end=_base_.max_epochs, T_max=_base_.max_epochs - warm_up, convert_to_iter_based=True)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=2000),
    dict(type='CosineAnnealingLR', eta_min=1e-5, **cosine),
]
