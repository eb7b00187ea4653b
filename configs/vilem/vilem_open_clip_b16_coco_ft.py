"""Fine-tuning on COCO at 224 pixels from open_clip's ViT-B/16, ViLEM's losses beside its own.

bash tools/dist_train.sh configs/vilem/vilem_open_clip_b16_coco_ft.py 8
"""

_base_ = [
    '../_base_/models/vilem_open_clip_b16.py',
    '../_base_/datasets/coco_clip_224.py',
    '../_base_/schedules/vilem_finetune.py',
    '../_base_/default_runtime.py',
]
