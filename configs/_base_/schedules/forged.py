"""1,800 steps on a CPU: AdamW, each encoder at a rate of its own, a rate that ends at zero."""

_base_ = './mini.py'

optim_wrapper = dict(
    optimizer=dict(lr=3e-4),
    # What words mean is not new to the text encoder.
    paramwise_cfg=dict(custom_keys=dict(text_encoder=dict(lr_mult=0.1))),
)
train_cfg = dict(max_epochs=4, val_interval=4)
