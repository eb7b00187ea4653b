"""Table 2, "Baseline", on the mini set: no M_i, no DFC, no IMQ.

python tools/train.py configs/dgm4/dca_imq_mini_baseline.py
"""

_base_ = './dca_imq_mini_no_i_imq.py'
model = dict(
    neck=dict(num_image_layers=0),
    type_head=dict(_delete_=True, type='MultiLabelHead', in_dims=128, hidden_dims=256, loss_weight=2.0),
    token_head=dict(_delete_=True, type='TokenMLPHead', in_dims=128, hidden_dims=128, loss_weight=6.0),
)
