"""Table 6, layer 4: M_1 = 4.

bash tools/dist_train.sh configs/vilem/vilem_table6_4.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(num_edit_layers=4, text_encoder=dict(num_cross_layers=4))
