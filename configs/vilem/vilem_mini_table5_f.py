"""Table 5, F: error correction with the global feature, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table5_f.py
"""

_base_ = './vilem_mini.py'
model = dict(local_path=None, detection_head=None, text_encoder=dict(num_cross_layers=0))
