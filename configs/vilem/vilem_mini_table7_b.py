"""Table 7, B: masked language modelling with the picture, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table7_b.py
"""

_base_ = './vilem_mini.py'
model = dict(corruptor=dict(mode='masked'), detection_head=None)
