"""Table 5, B: error detection with local features, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table5_b.py
"""

_base_ = './vilem_mini.py'
model = dict(global_path=None, correction_head=None)
