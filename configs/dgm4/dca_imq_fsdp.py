"""Fully sharded data parallel, for models or batches that one GPU does not hold.

bash tools/dist_train.sh configs/dgm4/dca_imq_fsdp.py 8
"""

_base_ = './dca_imq.py'
runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    model_wrapper=dict(auto_wrap_policy=dict(type='torch.distributed.fsdp.wrap.size_based_auto_wrap_policy')),
)
