"""The paper's pre-training on 5.1 million pairs: every value the paper leaves open is commented where it stands.

bash tools/dist_train.sh configs/vilem/vilem_base_cc4m.py 32
"""

_base_ = [
    '../_base_/models/vilem_base.py',
    '../_base_/datasets/caption_cc4m.py',
    '../_base_/schedules/vilem_pretrain.py',
    '../_base_/default_runtime.py',
]
