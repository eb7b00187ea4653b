"""SugarCrepe's accuracy of the model that vilem_starter.py trained.

python tools/test.py configs/flickr8k/vilem_starter_sugarcrepe.py work_dirs/vilem_starter/epoch_2.pth
"""

_base_ = [
    '../_base_/models/vilem_starter.py',
    '../_base_/datasets/sugarcrepe_288.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
