"""Table 5, A: the contrastive baseline without ViLEM, on Flickr8k.

python tools/train.py configs/flickr8k/vilem_starter_table5_a.py --amp
"""

_base_ = [
    '../_base_/models/dual_encoder_starter.py',
    '../_base_/datasets/flickr8k.py',
    '../_base_/schedules/flickr8k.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='t2i_R@1', rule='greater'))
model = dict(init_cfg=_base_.ridge_start)
