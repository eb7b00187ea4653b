"""Table 2, "Ours w/o T-IMQ", on forged photos.

python tools/train.py configs/forged/dca_imq_starter_no_t_imq.py --amp
"""

_base_ = './dca_imq_starter.py'
model = dict(token_head=dict(_delete_=True, type='TokenMLPHead', in_dims=384, hidden_dims=384, loss_weight=2.0))
