"""Table 2, "Ours w/o T-IMQ", on the mini set.

python tools/train.py configs/dgm4/dca_imq_mini_no_t_imq.py
"""

_base_ = './dca_imq_mini.py'
model = dict(token_head=dict(_delete_=True, type='TokenMLPHead', in_dims=128, hidden_dims=128, loss_weight=6.0))
