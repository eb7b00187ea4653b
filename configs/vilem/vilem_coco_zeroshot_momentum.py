"""COCO without fine-tuning, by the features of the momentum encoders.

python tools/test.py configs/vilem/vilem_coco_zeroshot_momentum.py work_dirs/vilem_base_cc13m/epoch_20.pth
"""

_base_ = './vilem_coco_zeroshot.py'
model = dict(momentum_features=True)
