"""bfloat16 autocast: half the activation memory, same range as float32, so no loss scaling.

bash tools/dist_train.sh configs/dgm4/dca_imq_bf16.py 8
"""

_base_ = './dca_imq.py'
optim_wrapper = dict(type='AutocastOptimWrapper')
