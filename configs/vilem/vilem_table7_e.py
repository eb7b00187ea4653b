"""Table 7, E: the global feature beside the patches, on 1 million pairs of CC3M.

bash tools/dist_train.sh configs/vilem/vilem_table7_e.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(local_path=dict(_delete_=True, type='UnifiedPath', loss_weight=1.0), global_path=None)
