"""Table 5, D with weight 1.0, as control of Table 7, E, whose one path has the weight of both. On CC3M.

bash tools/dist_train.sh configs/vilem/vilem_table5_d_full_weight.py 32
"""

_base_ = './vilem_table5_d.py'
model = dict(local_path=dict(loss_weight=1.0))
