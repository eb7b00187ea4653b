"""Fine-tuning: AdamW at 1e-5, cosine to 1e-6. The paper does not say; public practice of its relatives."""

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-5, weight_decay=0.02),
    constructor='DecaySparingConstructor',
)
# Without end and T_max it spans train_cfg's run.
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# 8 GPUs x 32.
auto_scale_lr = dict(base_batch_size=256, enable=False)
