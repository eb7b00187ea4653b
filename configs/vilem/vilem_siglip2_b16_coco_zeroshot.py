"""COCO by SigLIP 2 ViT-B/16 as it is, before any training of ours.

python tools/test.py configs/vilem/vilem_siglip2_b16_coco_zeroshot.py
"""

_base_ = [
    '../_base_/models/siglip2_b16.py',
    '../_base_/datasets/coco_siglip2_256.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
train_dataloader = None
ready = True  # all weights come from init_cfg: no checkpoint is needed
trained_on = 'WebLI'
