"""A few minutes: AdamW, short warm-up, a constant rate, linear to zero over the last two epochs."""

max_epochs = 5
optim_wrapper = dict(
    type='OptimWrapper',
    # A short memory of squared gradients: their size changes a lot in so few steps.
    optimizer=dict(type='AdamW', lr=4e-4, betas=(0.9, 0.98), weight_decay=0.02, fused=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=100),
    # Words are compared with the picture late and all at once: the rate must still be high then.
    dict(
        type='LinearLR', start_factor=1, end_factor=0, begin=max_epochs - 2, end=max_epochs, convert_to_iter_based=True
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
