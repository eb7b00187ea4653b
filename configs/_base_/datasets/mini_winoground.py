"""The mini set's examples in Winoground's format."""

_base_ = './mini_captions.py'

winoground = dict(
    ann_file='winoground/examples.jsonl',
    data_prefix=dict(img_path='winoground/images'),
    reader=dict(_delete_=True, type='winoground', suffix='.png'),
)
val_dataloader = dict(dataset=winoground)
test_dataloader = dict(dataset=winoground)
val_evaluator = dict(metrics=[dict(type='WinogroundMetric')])
test_evaluator = val_evaluator
