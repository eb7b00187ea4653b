"""AdamW, 2000 steps of warm-up to 3e-4, cosine to 1e-5, 20 epochs, batches of 2048 (Section 4.2 of the paper)."""

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-4, weight_decay=0.02),
    constructor='DecaySparingConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=2000),
    # Without end and T_max it spans what train_cfg leaves after the warm-up.
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=2000),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# Scales the learning rate with --auto-scale-lr: 32 GPUs x 64.
auto_scale_lr = dict(base_batch_size=2048, enable=False)
