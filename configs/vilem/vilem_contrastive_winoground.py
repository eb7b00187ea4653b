"""Winoground (Table 4), of the model without ViLEM.

python tools/test.py configs/vilem/vilem_contrastive_winoground.py work_dirs/vilem_base_cc13m_contrastive/epoch_20.pth
"""

_base_ = [
    '../_base_/models/dual_encoder_base.py',
    '../_base_/datasets/winoground.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
