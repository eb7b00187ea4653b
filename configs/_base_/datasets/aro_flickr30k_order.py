"""ARO: captions of Flickr30K against four orders of their words."""

_base_ = './retrieval_256.py'

data_root = 'data/flickr30k/'  # flickr30k_order.json (docs/data.md), flickr30k-images/
order = dict(data_root=data_root, ann_file='flickr30k_order.json', reader=dict(_delete_=True, type='aro_order'))
val_dataloader = dict(dataset=order)
test_dataloader = dict(dataset=order)
val_evaluator = dict(metrics=[dict(type='PairwiseCaptionMetric', num_captions=None)])
test_evaluator = val_evaluator
