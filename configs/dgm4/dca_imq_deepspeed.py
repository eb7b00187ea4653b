"""DeepSpeed ZeRO-2 in bfloat16 (pip install deepspeed --no-build-isolation).

bash tools/dist_train.sh configs/dgm4/dca_imq_deepspeed.py 8
"""

_base_ = './dca_imq.py'
runner_type = 'FlexibleRunner'
strategy = dict(
    type='DeepSpeedStrategy', bf16=dict(enabled=True), zero_optimization=dict(stage=2), gradient_clipping=1.0
)
optim_wrapper = dict(type='DeepSpeedOptimWrapper')
