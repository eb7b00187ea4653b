"""Table 2, "Ours w/o M_t", on forged photos.

python tools/train.py configs/forged/dca_imq_starter_no_mt.py --amp
"""

_base_ = './dca_imq_starter.py'
model = dict(neck=dict(num_text_layers=0, init_cfg=dict(compare=None)))
