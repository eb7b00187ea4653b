"""SugarCrepe at 288 pixels, for models on starter weights."""

_base_ = './photos_288.py'

data_root = 'data/sugarcrepe/'  # data/*.json, and val2017/ of COCO
sugarcrepe = dict(
    data_root=data_root,
    ann_file='data',
    data_prefix=dict(img_path='val2017'),
    reader=dict(_delete_=True, type='sugarcrepe'),
)
val_dataloader = dict(dataset=sugarcrepe)
test_dataloader = dict(dataset=sugarcrepe)
val_evaluator = dict(metrics=[dict(type='PairwiseCaptionMetric', means='prefix')])
test_evaluator = val_evaluator
