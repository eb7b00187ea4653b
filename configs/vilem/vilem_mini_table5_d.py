"""Table 5, D: both with local features, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table5_d.py
"""

_base_ = './vilem_mini.py'
model = dict(global_path=None)
