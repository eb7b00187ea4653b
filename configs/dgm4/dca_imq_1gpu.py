"""One GPU with the effective batch of eight: 32 x 8 by gradient accumulation, in bfloat16.

python tools/train.py configs/dgm4/dca_imq_1gpu.py
"""

_base_ = './dca_imq_bf16.py'
optim_wrapper = dict(accumulative_counts=8)
# Schedulers count iterations, of which eight now make one step of the paper's.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=8000),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=8000),
]
