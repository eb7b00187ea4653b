"""Table 5, G: both with the global feature, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table5_g.py
"""

_base_ = './vilem_mini.py'
model = dict(local_path=None, text_encoder=dict(num_cross_layers=0))
