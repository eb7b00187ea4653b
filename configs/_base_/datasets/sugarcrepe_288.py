"""SugarCrepe at 288 pixels, for models on starter weights."""

_base_ = './photos_224.py'

image_size = (288, 288)
resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
test_pipeline = [
    dict(type='LoadImageGroup', target_size=image_size),
    _base_.test_pipeline[1],
    dict(type='ForEachImage', transforms=[resize]),
    *_base_.test_pipeline[3:],
]
data_root = 'data/sugarcrepe/'  # data/*.json, and val2017/ of COCO
sugarcrepe = dict(
    data_root=data_root,
    ann_file='data',
    data_prefix=dict(img_path='val2017'),
    reader=dict(_delete_=True, type='sugarcrepe'),
    pipeline=test_pipeline,
)
val_dataloader = dict(dataset=sugarcrepe)
test_dataloader = dict(dataset=sugarcrepe)
val_evaluator = dict(metrics=[dict(type='PairwiseCaptionMetric', means='prefix')])
test_evaluator = val_evaluator
