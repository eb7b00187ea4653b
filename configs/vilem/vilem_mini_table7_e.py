"""Table 7, E: the global feature beside the patches, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table7_e.py
"""

_base_ = './vilem_mini.py'
model = dict(local_path=dict(_delete_=True, type='UnifiedPath', loss_weight=1.0), global_path=None)
