"""ARO, word order of COCO's captions.

python tools/test.py configs/vilem/vilem_aro_coco_order.py work_dirs/vilem_base_cc13m/epoch_20.pth
"""

_base_ = [
    '../_base_/models/vilem_base.py',
    '../_base_/datasets/aro_coco_order.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
