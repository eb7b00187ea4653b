"""The text blanked: blended faces can be seen, text types cannot.

python tools/train.py configs/forged/dca_imq_starter_image_only.py --amp
"""

_base_ = './dca_imq_starter.py'
model = dict(text_encoder=dict(_delete_=True, type='NullTextEncoder', embed_dims=384))
