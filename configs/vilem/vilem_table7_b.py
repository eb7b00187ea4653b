"""Table 7, B: masked language modelling with the picture, on 1 million pairs of CC3M.

bash tools/dist_train.sh configs/vilem/vilem_table7_b.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(corruptor=dict(mode='masked'), detection_head=None)
