"""The image blanked: every manipulation type is at chance.

python tools/train.py configs/dgm4/dca_imq_mini_text_only.py
"""

_base_ = './dca_imq_mini.py'
model = dict(image_encoder=dict(_delete_=True, type='NullImageEncoder', embed_dims=128, num_patches=64))
