"""Cross-source: trained on portraits, whose captions are never forged, tested on Flickr8k: do blended faces carry over?

python tools/train.py configs/forged/dca_imq_starter_portraits_to_flickr8k.py --cfg-options train_cfg.max_epochs=18
"""

_base_ = './dca_imq_starter.py'
train_dataloader = dict(dataset=dict(_delete_=True, **_base_.portraits, **_base_.train))
val_dataloader = dict(dataset=dict(_delete_=True, **_base_.portraits, **_base_.val))
test_dataloader = dict(dataset=dict(_delete_=True, **_base_.flickr8k, **_base_.test))
trained_on = 'portraits, forged by program (mmvlforge forge photos)'
