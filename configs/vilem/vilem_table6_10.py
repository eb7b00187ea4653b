"""Table 6, layer 10: M_1 = 10.

bash tools/dist_train.sh configs/vilem/vilem_table6_10.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(num_edit_layers=10, text_encoder=dict(num_cross_layers=10))
