"""The image encoder trained too: pictures are read and mirrored, not their features.

python tools/train.py configs/flickr8k/vilem_starter_trained.py --amp
"""

_base_ = './vilem_starter.py'

model = dict(image_encoder=dict(stem=dict(frozen=False, norm_eval=True, float32_depthwise=True)))
train_pipeline = [
    _base_.read[0],
    dict(type='CleanCaptions', max_words=30),
    dict(type='FlipWithCaptions', prob=0.5, sides='keep'),
    *_base_.read[1:],
    _base_.tokenizer,
    dict(type='PackCaptionInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = None  # no features are kept
# A tenth for what has been trained, as for the text encoder.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'image_encoder.stem': dict(lr_mult=0.1)}))
