"""SugarCrepe's accuracy of the model that vilem_starter_table5_a.py trained.

python tools/test.py configs/flickr8k/vilem_starter_table5_a_sugarcrepe.py work_dirs/vilem_starter_table5_a/epoch_2.pth
"""

_base_ = [
    '../_base_/models/dual_encoder_starter.py',
    '../_base_/datasets/sugarcrepe_288.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
