"""ARO: captions of COCO against four orders of their words."""

_base_ = './retrieval_256.py'

data_root = 'data/coco/'  # coco_order.json (docs/data.md), val2014/
order = dict(data_root=data_root, ann_file='coco_order.json', reader=dict(_delete_=True, type='aro_order'))
val_dataloader = dict(dataset=order)
test_dataloader = dict(dataset=order)
val_evaluator = dict(metrics=[dict(type='PairwiseCaptionMetric', num_captions=None)])
test_evaluator = val_evaluator
