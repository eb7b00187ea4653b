"""Cross-source: trained on portraits (face_traces_portraits.py), tested on Flickr8k, whose captions are forged, too.

python tools/train.py configs/forged/dca_imq_starter_portraits_to_flickr8k.py --amp
"""

_base_ = './dca_imq_starter.py'
traces = dict(_base_.traces, checkpoint='work_dirs/face_traces_portraits/epoch_22.pth')
model = dict(image_encoder=dict(encoders=[_base_.encoders[0], dict(_base_.encoders[1], init_cfg=traces)]))
features = dict(_base_.features, folder='work_dirs/forged_features_portraits')
train_pipeline = [_base_.tokenizer, features, _base_.train_pipeline[2]]
sets = [dict(s, pipeline=train_pipeline) for s in _base_.train_dataloader.dataset.datasets[2:]]
train_dataloader = dict(dataset=dict(datasets=sets))
train_cfg = dict(max_epochs=30)  # as many steps as on both
val_dataloader = dict(dataset=dict(datasets=[dict(_base_.portraits, **_base_.val)]))
test_dataloader = dict(dataset=dict(datasets=[dict(_base_.flickr8k, **_base_.test)]))
