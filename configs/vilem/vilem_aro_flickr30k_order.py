"""ARO, word order of Flickr30K's captions.

python tools/test.py configs/vilem/vilem_aro_flickr30k_order.py work_dirs/vilem_base_cc13m/epoch_20.pth
"""

_base_ = [
    '../_base_/models/vilem_base.py',
    '../_base_/datasets/aro_flickr30k_order.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
