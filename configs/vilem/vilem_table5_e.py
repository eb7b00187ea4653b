"""Table 5, E: error detection with the global feature, on 1 million pairs of CC3M.

bash tools/dist_train.sh configs/vilem/vilem_table5_e.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(local_path=None, correction_head=None, text_encoder=dict(num_cross_layers=0))
