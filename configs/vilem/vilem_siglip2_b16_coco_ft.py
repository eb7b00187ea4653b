"""Fine-tuning on COCO at 256 pixels from SigLIP 2 ViT-B/16, ViLEM's losses beside its own.

bash tools/dist_train.sh configs/vilem/vilem_siglip2_b16_coco_ft.py 8
"""

_base_ = [
    '../_base_/models/vilem_siglip2_b16.py',
    '../_base_/datasets/coco_siglip2_256.py',
    '../_base_/schedules/vilem_finetune.py',
    '../_base_/default_runtime.py',
]
