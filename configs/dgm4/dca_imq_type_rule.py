"""No box where the type head says the picture is real; box-less pictures then need no zero targets.

bash tools/dist_train.sh configs/dgm4/dca_imq_type_rule.py 8
"""

_base_ = './dca_imq.py'
model = dict(box_head=dict(no_box_rule='type', supervise_empty='none'))
