"""Table 2, "Ours w/o I-IMQ", on the mini set.

python tools/train.py configs/dgm4/dca_imq_mini_no_i_imq.py
"""

_base_ = './dca_imq_mini.py'
model = dict(
    box_head=dict(
        _delete_=True,
        type='BoxHead',
        in_dims=128,
        hidden_dims=128,
        loss_weight=2.0,
        supervise_empty='l1',
        no_box_rule='type',
    )
)
