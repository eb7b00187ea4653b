"""face_traces.py on portraits alone, for dca_imq_starter_portraits_to_flickr8k.py.

python tools/train.py configs/forged/face_traces_portraits.py --amp
"""

_base_ = './face_traces.py'
train_dataloader = dict(dataset=dict(datasets=[_base_.train_dataloader.dataset.datasets[1]]))
val_dataloader = dict(dataset=dict(datasets=[_base_.val_dataloader.dataset.datasets[1]]))
test_dataloader = dict(dataset=dict(datasets=[_base_.test_dataloader.dataset.datasets[1]]))
train_cfg = dict(max_epochs=22)  # as many steps as on both
