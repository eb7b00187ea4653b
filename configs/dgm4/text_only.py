"""Text grounding on the real captions of DGM⁴ without images: what the words alone give away.

python tools/train.py configs/dgm4/text_only.py
"""

_base_ = [
    '../_base_/models/dca_imq_mini.py',
    '../_base_/datasets/dgm4_text_only.py',
    '../_base_/schedules/mini.py',
    '../_base_/default_runtime.py',
]
model = dict(
    image_encoder=dict(_delete_=True, type='NullImageEncoder', embed_dims=128, num_patches=1),
    text_encoder=dict(config=dict(vocab_size=8000)),
    box_head=None,
)
default_hooks = dict(checkpoint=dict(save_best='F1', rule='greater'))
