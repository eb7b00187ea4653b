"""MSR-VTT 1k-A without fine-tuning (Table 3): the mean of 8 frames.

python tools/test.py configs/vilem/vilem_msrvtt.py work_dirs/vilem_base_cc13m/epoch_20.pth
"""

_base_ = [
    '../_base_/models/vilem_base.py',
    '../_base_/datasets/msrvtt.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
