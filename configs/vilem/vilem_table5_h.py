"""The whole model on 1 million pairs of CC3M: Table 5, H; Table 6, layer 6; Table 7, G.

bash tools/dist_train.sh configs/vilem/vilem_table5_h.py 32
"""

_base_ = [
    '../_base_/models/vilem_base.py',
    '../_base_/datasets/caption_cc1m.py',
    '../_base_/schedules/vilem_pretrain.py',
    '../_base_/default_runtime.py',
]
