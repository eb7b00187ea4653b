"""What every run shares: scope, logs, checkpoints, seeds."""

default_scope = 'mmvlforge'
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='ResumableCheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # A resumed run draws the same dropout masks and augmentations as an uninterrupted one.
    epoch_seed=dict(type='EpochSeedHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),  # tools/train.py takes gloo where there is no GPU
)
visualizer = dict(
    type='ManipulationVisualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
)
log_processor = dict(by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
# A fixed seed: resuming builds the loader before it reads the checkpoint's seed.
randomness = dict(seed=0)
