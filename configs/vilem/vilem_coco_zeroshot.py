"""COCO without fine-tuning (Table 2), at 256 pixels.

python tools/test.py configs/vilem/vilem_coco_zeroshot.py work_dirs/vilem_base_cc13m/epoch_20.pth
"""

_base_ = './vilem_base_cc4m.py'
