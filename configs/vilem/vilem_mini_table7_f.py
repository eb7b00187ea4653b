"""Table 7, F: random words in place of the edits, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table7_f.py
"""

_base_ = './vilem_mini.py'
model = dict(corruptor=dict(mode='random'))
