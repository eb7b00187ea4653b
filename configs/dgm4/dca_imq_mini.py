"""The quick start: DCA + DFC + IMQ on the embedded small set, minutes on two CPU cores.

python tools/train.py configs/dgm4/dca_imq_mini.py
"""

_base_ = [
    '../_base_/models/dca_imq_mini.py',
    '../_base_/datasets/mini_dgm4.py',
    '../_base_/schedules/mini.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='AUC', rule='greater'))
