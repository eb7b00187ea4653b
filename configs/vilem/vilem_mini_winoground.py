"""Winoground's scores on the mini set, of the model that vilem_mini.py trained.

python tools/test.py configs/vilem/vilem_mini_winoground.py work_dirs/vilem_mini/epoch_1.pth
"""

_base_ = [
    '../_base_/models/vilem_mini.py',
    '../_base_/datasets/mini_winoground.py',
    '../_base_/schedules/vilem_mini.py',
    '../_base_/default_runtime.py',
]
