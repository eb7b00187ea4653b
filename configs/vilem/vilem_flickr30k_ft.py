"""Fine-tuning on Flickr30K at 384 pixels: 10 epochs.

bash tools/dist_train.sh configs/vilem/vilem_flickr30k_ft.py 8
"""

_base_ = [
    '../_base_/models/vilem_base_384.py',
    '../_base_/datasets/flickr30k_retrieval.py',
    '../_base_/schedules/vilem_finetune.py',
    '../_base_/default_runtime.py',
]

train_cfg = dict(max_epochs=10)
