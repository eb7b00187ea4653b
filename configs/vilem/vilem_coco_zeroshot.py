"""COCO without fine-tuning (Table 2), at 256 pixels.

python tools/test.py configs/vilem/vilem_coco_zeroshot.py work_dirs/vilem_base_cc13m/epoch_20.pth
"""

_base_ = [
    '../_base_/models/vilem_base.py',
    '../_base_/datasets/retrieval_256.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
