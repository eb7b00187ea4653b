"""Table 6, layer 6: M_1 = 6. As vilem_table5_h.py.

bash tools/dist_train.sh configs/vilem/vilem_table6_6.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(num_edit_layers=6, text_encoder=dict(num_cross_layers=6))
