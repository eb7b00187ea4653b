"""Table 2, "Baseline", on forged photos: no M_i, no DFC, no IMQ.

python tools/train.py configs/forged/dca_imq_starter_baseline.py --amp
"""

_base_ = './dca_imq_starter_no_i_imq.py'
model = dict(
    neck=dict(num_image_layers=0),
    type_head=dict(
        _delete_=True, type='MultiLabelHead', in_dims=384, hidden_dims=768, num_image_types=2, loss_weight=2.0
    ),
    token_head=dict(_delete_=True, type='TokenMLPHead', in_dims=384, hidden_dims=384, loss_weight=2.0),
)
