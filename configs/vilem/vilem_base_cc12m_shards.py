"""Pre-training on CC12M in tar shards.

bash tools/dist_train.sh configs/vilem/vilem_base_cc12m_shards.py 32
"""

_base_ = [
    '../_base_/models/vilem_base.py',
    '../_base_/datasets/caption_webdataset.py',
    '../_base_/schedules/vilem_pretrain.py',
    '../_base_/default_runtime.py',
]
