"""face_traces.py on Flickr8k alone, for dca_imq_starter_flickr8k_to_portraits.py.

python tools/train.py configs/forged/face_traces_flickr8k.py --amp
"""

_base_ = './face_traces.py'
train_dataloader = dict(dataset=dict(datasets=[_base_.train_dataloader.dataset.datasets[0]]))
val_dataloader = dict(dataset=dict(datasets=[_base_.val_dataloader.dataset.datasets[0]]))
test_dataloader = dict(dataset=dict(datasets=[_base_.test_dataloader.dataset.datasets[0]]))
train_cfg = dict(max_epochs=8)  # as many steps as on both
