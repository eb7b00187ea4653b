"""Table 7, F: random words in place of the edits, on 1 million pairs of CC3M.

bash tools/dist_train.sh configs/vilem/vilem_table7_f.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(corruptor=dict(mode='random'))
