"""Table 5, E: error detection with the global feature, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table5_e.py
"""

_base_ = './vilem_mini.py'
model = dict(local_path=None, correction_head=None, text_encoder=dict(num_cross_layers=0))
