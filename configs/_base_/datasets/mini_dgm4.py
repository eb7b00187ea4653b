"""The embedded small set at 128 pixels: mmvlforge forge news data/mini_dgm4 --num 12000"""

_base_ = './dgm4.py'

data_root = 'data/mini_dgm4/'
tokenizer = dict(type='WordTokenizer', name=data_root + 'tokenizer', max_length=50)
# Said with every answer of a model that was trained on it.
trained_on = 'drawn scenes (mmvlforge forge news)'
model_warnings = ['the model knows only drawn scenes']
image_size = (128, 128)

resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
train_pipeline = [
    tokenizer,
    dict(type='LoadImage', target_size=image_size),
    dict(type='RandomFlip', prob=0.5),
    resize,
    dict(type='PackManipulationInputs'),
]
test_pipeline = [
    tokenizer,
    dict(type='LoadImage', target_size=image_size),
    resize,
    dict(type='PackManipulationInputs'),
]

train_dataloader = dict(
    batch_size=24,
    num_workers=1,
    pin_memory=False,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=1,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
