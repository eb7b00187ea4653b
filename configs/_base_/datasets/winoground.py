"""Winoground: 400 pairs of pictures and captions with the same words."""

_base_ = './retrieval_256.py'

data_root = 'data/winoground/'  # examples.jsonl and images/
winoground = dict(
    data_root=data_root,
    ann_file='examples.jsonl',
    data_prefix=dict(img_path='images'),
    reader=dict(_delete_=True, type='winoground', suffix='.png'),
)
val_dataloader = dict(dataset=winoground)
test_dataloader = dict(dataset=winoground)
val_evaluator = dict(metrics=[dict(type='WinogroundMetric')])
test_evaluator = val_evaluator
