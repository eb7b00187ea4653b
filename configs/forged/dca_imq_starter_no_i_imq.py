"""Table 2, "Ours w/o I-IMQ", on forged photos.

python tools/train.py configs/forged/dca_imq_starter_no_i_imq.py --amp
"""

_base_ = './dca_imq_starter.py'
model = dict(
    box_head=dict(
        _delete_=True,
        type='BoxHead',
        in_dims=384,
        hidden_dims=384,
        loss_weight=2.0,
        supervise_empty='none',
        no_box_rule='type',
    )
)
