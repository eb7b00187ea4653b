"""Cross-source: trained on Flickr8k (face_traces_flickr8k.py), tested on portraits, whose captions are never forged.

python tools/train.py configs/forged/dca_imq_starter_flickr8k_to_portraits.py --amp
"""

_base_ = './dca_imq_starter.py'
traces = dict(_base_.traces, checkpoint='work_dirs/face_traces_flickr8k/epoch_8.pth')
model = dict(image_encoder=dict(encoders=[_base_.encoders[0], dict(_base_.encoders[1], init_cfg=traces)]))
features = dict(_base_.features, folder='work_dirs/forged_features_flickr8k')
train_pipeline = [_base_.tokenizer, features, _base_.train_pipeline[2]]
sets = [dict(s, pipeline=train_pipeline) for s in _base_.train_dataloader.dataset.datasets[:2]]
train_dataloader = dict(dataset=dict(datasets=sets))
val_dataloader = dict(dataset=dict(datasets=[dict(_base_.flickr8k, **_base_.val)]))
test_dataloader = dict(dataset=dict(datasets=[dict(_base_.portraits, **_base_.test)]))
