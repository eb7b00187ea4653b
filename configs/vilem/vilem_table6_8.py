"""Table 6, layer 8: M_1 = 8.

bash tools/dist_train.sh configs/vilem/vilem_table6_8.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(num_edit_layers=8, text_encoder=dict(num_cross_layers=8))
