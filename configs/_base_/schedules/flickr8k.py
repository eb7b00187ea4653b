"""Some minutes on a CPU: AdamW, what is trained already at a smaller rate than what is new."""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-4, betas=(0.9, 0.98), weight_decay=0.02, fused=True),
    constructor='DecaySparingConstructor',
    paramwise_cfg=dict(
        custom_keys={
            'text_encoder': dict(lr_mult=0.1),
            'cross_attn': dict(lr_mult=1.0),
            'cross_norm': dict(lr_mult=1.0),
            'stem_proj': dict(lr_mult=0.1),
        }
    ),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=2)  # by the third it is known by heart
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
