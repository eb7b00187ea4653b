"""The image blanked: whether a face was blended is at chance, and so is a swapped caption.

python tools/train.py configs/forged/dca_imq_starter_text_only.py --amp
"""

_base_ = './dca_imq_starter.py'
model = dict(
    image_encoder=dict(_delete_=True, type='NullImageEncoder', embed_dims=_base_.model.neck.image_dims, num_patches=49),
)
train_pipeline = _base_.picture_pipeline
sets = [dict(s, pipeline=train_pipeline) for s in _base_.train_dataloader.dataset.datasets]
train_dataloader = dict(dataset=dict(datasets=sets))
custom_hooks = None  # there are no features
