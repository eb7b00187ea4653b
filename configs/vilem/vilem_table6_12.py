"""Table 6, layer 12: M_1 = 12.

bash tools/dist_train.sh configs/vilem/vilem_table6_12.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(num_edit_layers=12, text_encoder=dict(num_cross_layers=12))
