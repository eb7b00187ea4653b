"""Table 2, "Ours w/o I-IMQ": the box comes from the mean of the patches.

bash tools/dist_train.sh configs/dgm4/dca_imq_no_i_imq.py 8
"""

_base_ = './dca_imq.py'
model = dict(box_head=dict(_delete_=True, type='BoxHead', in_dims=768, hidden_dims=768, loss_weight=0.1))
