"""Table 5, A: the contrastive baseline without ViLEM, on 1 million pairs of CC3M.

bash tools/dist_train.sh configs/vilem/vilem_table5_a.py 32
"""

_base_ = [
    '../_base_/models/dual_encoder_base.py',
    '../_base_/datasets/caption_cc1m.py',
    '../_base_/schedules/vilem_pretrain.py',
    '../_base_/default_runtime.py',
]
