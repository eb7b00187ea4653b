"""Pre-training on 14.1 million pairs: with CC12M.

bash tools/dist_train.sh configs/vilem/vilem_base_cc13m.py 32
"""

_base_ = [
    '../_base_/models/vilem_base.py',
    '../_base_/datasets/caption_cc13m.py',
    '../_base_/schedules/vilem_pretrain.py',
    '../_base_/default_runtime.py',
]
