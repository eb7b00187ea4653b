"""Table 5, C: error correction with local features, on 1 million pairs of CC3M.

bash tools/dist_train.sh configs/vilem/vilem_table5_c.py 32
"""

_base_ = './vilem_table5_h.py'
model = dict(global_path=None, detection_head=None)
