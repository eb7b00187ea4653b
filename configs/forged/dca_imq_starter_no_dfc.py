"""Table 2, "Ours w/o DFC", on forged photos.

python tools/train.py configs/forged/dca_imq_starter_no_dfc.py --amp
"""

_base_ = './dca_imq_starter.py'
model = dict(
    type_head=dict(
        _delete_=True, type='MultiLabelHead', in_dims=384, hidden_dims=768, num_image_types=2, loss_weight=2.0
    )
)
