"""Lower learning rate for the pre-trained encoders: 1e-5, 5e-5 for the rest (closest public relative).

bash tools/dist_train.sh configs/dgm4/dca_imq_encoder_lr.py 8
"""

_base_ = './dca_imq.py'
encoder = dict(lr_mult=0.2)
optim_wrapper = dict(
    optimizer=dict(lr=5e-5), paramwise_cfg=dict(custom_keys=dict(image_encoder=encoder, text_encoder=encoder))
)
