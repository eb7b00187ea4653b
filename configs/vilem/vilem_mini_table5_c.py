"""Table 5, C: error correction with local features, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table5_c.py
"""

_base_ = './vilem_mini.py'
model = dict(global_path=None, detection_head=None)
