"""AdamW, 1000 steps of warm-up to 1e-4, cosine to 1e-6 (Section 3.1 of the paper)."""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.02),
    # No decay of biases, norms and scalars, as is usual for transformers; the paper does not say.
    constructor='DecaySparingConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=1000),
    # Without end and T_max it spans what train_cfg leaves after the warm-up.
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=1000),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)  # the paper does not say how many
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# Scales the learning rate with --auto-scale-lr: 8 GPUs x 32.
auto_scale_lr = dict(base_batch_size=256, enable=False)
