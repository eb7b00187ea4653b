"""The text blanked: face types can be seen, text types cannot.

python tools/train.py configs/dgm4/dca_imq_mini_image_only.py
"""

_base_ = './dca_imq_mini.py'
model = dict(text_encoder=dict(_delete_=True, type='NullTextEncoder', embed_dims=128))
