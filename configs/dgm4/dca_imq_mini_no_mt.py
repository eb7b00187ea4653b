"""Table 2, "Ours w/o M_t", on the mini set.

python tools/train.py configs/dgm4/dca_imq_mini_no_mt.py
"""

_base_ = './dca_imq_mini.py'
model = dict(neck=dict(num_text_layers=0))
