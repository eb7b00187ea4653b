"""COCO by OpenAI's CLIP ViT-B/16 as it is, before any training of ours.

python tools/test.py configs/vilem/vilem_clip_b16_coco_zeroshot.py
"""

_base_ = [
    '../_base_/models/clip_b16.py',
    '../_base_/datasets/coco_clip_224.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
train_dataloader = None
ready = True  # all weights come from init_cfg: no checkpoint is needed
trained_on = "OpenAI's 400 million pairs"
