"""Table 7, D: patches of the last image block alone, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table7_d.py
"""

_base_ = './vilem_mini.py'
model = dict(local_path=dict(_delete_=True, type='HighestLevelPath', loss_weight=0.8))
