"""Table 5, D with weight 1.0, as control of Table 7, E, whose one path has the weight of both. On the mini set.

python tools/train.py configs/vilem/vilem_mini_table5_d_full_weight.py
"""

_base_ = './vilem_mini_table5_d.py'
model = dict(local_path=dict(loss_weight=1.0))
