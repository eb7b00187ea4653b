"""Table 4, without ViLEM: the contrastive baseline alone, on 14.1 million pairs.

bash tools/dist_train.sh configs/vilem/vilem_base_cc13m_contrastive.py 32
"""

_base_ = [
    '../_base_/models/dual_encoder_base.py',
    '../_base_/datasets/caption_cc13m.py',
    '../_base_/schedules/vilem_pretrain.py',
    '../_base_/default_runtime.py',
]
