"""DCA + DFC + IMQ from starter weights, on forged photos (_base_/datasets/forged_mix.py says how they are made).

python tools/train.py configs/forged/dca_imq_starter.py
"""

_base_ = [
    '../_base_/models/dca_imq_starter.py',
    '../_base_/datasets/forged_mix.py',
    '../_base_/schedules/forged.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='AUC', rule='greater'))
