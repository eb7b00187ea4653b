"""A few minutes: AdamW, short warm-up, a rate that stays high until late and ends at zero."""

optim_wrapper = dict(
    type='OptimWrapper',
    # A short memory of squared gradients: their size changes a lot in so few steps.
    optimizer=dict(type='AdamW', lr=4e-4, betas=(0.9, 0.98), weight_decay=0.02, fused=True),
    constructor='DecaySparingConstructor',
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=100),
    # Words are compared with the picture late and all at once: the rate must still be high then. It spans train_cfg's
    # run and is multiplied with the warm-up, so that a set that is even smaller trains too.
    dict(type='PolyLR', power=0.5, eta_min=0, by_epoch=False),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
