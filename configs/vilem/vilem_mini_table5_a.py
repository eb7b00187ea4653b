"""Table 5, A: the contrastive baseline without ViLEM, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table5_a.py
"""

_base_ = [
    '../_base_/models/dual_encoder_mini.py',
    '../_base_/datasets/mini_captions.py',
    '../_base_/schedules/vilem_mini.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='t2i_R@1', rule='greater'))
