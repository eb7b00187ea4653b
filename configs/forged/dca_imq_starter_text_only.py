"""The image blanked: every manipulation type is at chance.

python tools/train.py configs/forged/dca_imq_starter_text_only.py
"""

_base_ = './dca_imq_starter.py'
model = dict(image_encoder=dict(_delete_=True, type='NullImageEncoder', embed_dims=1728, num_patches=49))
