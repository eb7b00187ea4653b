"""Cross-source: trained on Flickr8k, tested on portraits, whose captions are never forged.

python tools/train.py configs/forged/dca_imq_starter_flickr8k_to_portraits.py
"""

_base_ = './dca_imq_starter.py'
train_dataloader = dict(dataset=dict(_delete_=True, **_base_.flickr8k, **_base_.train))
val_dataloader = dict(dataset=dict(_delete_=True, **_base_.flickr8k, **_base_.val))
test_dataloader = dict(dataset=dict(_delete_=True, **_base_.portraits, **_base_.test))
trained_on = 'photos of Flickr8k, forged by program (mmvlforge forge photos)'
