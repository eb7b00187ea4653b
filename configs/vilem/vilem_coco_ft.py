"""Fine-tuning on COCO at 384 pixels from the pre-training on 5.1 million pairs, ViLEM's losses kept.

bash tools/dist_train.sh configs/vilem/vilem_coco_ft.py 8
"""

_base_ = [
    '../_base_/models/vilem_base_384.py',
    '../_base_/datasets/coco_retrieval.py',
    '../_base_/schedules/vilem_finetune.py',
    '../_base_/default_runtime.py',
]
