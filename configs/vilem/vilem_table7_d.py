"""Table 7, D: patches of the last image block alone, on 1 million pairs of CC3M.

bash tools/dist_train.sh configs/vilem/vilem_table7_d.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(local_path=dict(_delete_=True, type='HighestLevelPath', loss_weight=0.8))
