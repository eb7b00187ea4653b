"""EfficientNet-Lite0, taught where a face was blended into a picture; dca_imq_starter.py reads it beside ImageNet's.

python tools/train.py configs/forged/face_traces.py --amp
writes work_dirs/face_traces/epoch_6.pth
"""

_base_ = [
    '../_base_/models/dca_imq_starter.py',
    '../_base_/datasets/forged_mix.py',
    '../_base_/schedules/forged.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True,
    type='TraceClassifier',
    data_preprocessor=_base_.data_preprocessor,
    image_encoder=dict(
        **_base_.lite0,
        fine_level=_base_.fine_level,
        norm_eval=True,  # as is usual where a pre-trained network learns from small batches
        float32_depthwise=True,  # with --amp on a CPU
        init_cfg=_base_.imagenet,
    ),
    in_dims=_base_.trace_dims,
    grid=_base_.grid,
)
# Of the picture alone: a changed caption makes no forgery here.
class_map = {name: (kind, 'real') for name, (kind, _) in _base_.class_map.items()}
of_picture = dict(class_map=class_map, word_field=None)
flickr8k = dict(_base_.flickr8k, **of_picture)
portraits = dict(_base_.portraits, **of_picture)
train_pipeline = _base_.picture_pipeline
train = dict(_base_.train, pipeline=train_pipeline)
train_dataloader = dict(dataset=dict(datasets=[dict(flickr8k, **train), dict(portraits, **train)]))
val_dataloader = dict(dataset=dict(datasets=[dict(flickr8k, **_base_.val), dict(portraits, **_base_.val)]))
test_dataloader = dict(dataset=dict(datasets=[dict(flickr8k, **_base_.test), dict(portraits, **_base_.test)]))
val_evaluator = dict(metrics=[dict(type='BinaryMetric')])
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=None)
param_scheduler = [dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=30), _base_.param_scheduler[1]]
train_cfg = dict(max_epochs=6)  # 1,280 steps
custom_hooks = None
