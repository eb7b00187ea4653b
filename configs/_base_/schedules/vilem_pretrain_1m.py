"""The recipe on 1 million pairs: 2000 steps of warm-up are 4 of the 20 epochs, so that the cosine begins after them."""

_base_ = './vilem_pretrain.py'

warm_up, cosine = _base_.param_scheduler
begin = warm_up['end'] / 489  # in epochs: 1 million pairs are 489 steps of 2048
param_scheduler = [warm_up, dict(cosine, begin=begin, T_max=_base_.max_epochs - begin)]
