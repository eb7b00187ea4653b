"""Photos and words without any training: ConSE on starter weights. `--model starter` is this config.

python tools/test.py configs/starter/starter_conse.py
"""

_base_ = [
    '../_base_/models/starter.py',
    '../_base_/datasets/photos_224.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
ready = True  # all weights come from init_cfg: no checkpoint is needed
trained_on = 'ImageNet and all-MiniLM-L6-v2: no pair of picture and caption'
# What `mmvlforge align` fits: the features that the classes are made of, at the size that suits them (photos_288.py).
size = (288, 288)
aligned = dict(
    model=_base_.model,
    image_size=size,
    resize=dict(_base_.resize, scale=size),
    test_pipeline=[
        dict(type='LoadImageGroup', target_size=size),
        _base_.test_pipeline[1],
        dict(type='ForEachImage', transforms=[dict(_base_.resize, scale=size)]),
        *_base_.test_pipeline[3:],
    ],
)
model = dict(
    image_encoder=dict(
        type='ClassProbabilityEncoder',
        in_dims=_base_.image_dims,
        temperature=2.0,  # chosen on Flickr8k's dev split: t2i R@10 is 23.6 at 1, 27.3 at 2
        init_cfg=dict(type='StarterWeights', name='efficientnet_lite0'),
    ),
    image_dims=1000,
    init_cfg=dict(type='ClassNameAlignment', tokenizer=_base_.tokenizer.name),
)
