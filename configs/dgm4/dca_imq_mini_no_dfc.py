"""Table 2, "Ours w/o DFC", on the mini set.

python tools/train.py configs/dgm4/dca_imq_mini_no_dfc.py
"""

_base_ = './dca_imq_mini.py'
model = dict(type_head=dict(_delete_=True, type='MultiLabelHead', in_dims=128, hidden_dims=256, loss_weight=2.0))
