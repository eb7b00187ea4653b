"""SugarCrepe's accuracy on the mini set, of the model that vilem_mini.py trained.

python tools/test.py configs/vilem/vilem_mini_sugarcrepe.py work_dirs/vilem_mini/epoch_1.pth
"""

_base_ = [
    '../_base_/models/vilem_mini.py',
    '../_base_/datasets/mini_sugarcrepe.py',
    '../_base_/schedules/vilem_mini.py',
    '../_base_/default_runtime.py',
]
