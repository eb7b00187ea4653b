"""The mini set's short videos in MSR-VTT's format."""

_base_ = './mini_captions.py'

test_pipeline = [
    dict(type='LoadFrames', num_frames=8),
    dict(type='CleanCaptions', max_words=35),
    dict(type='ForEachImage', transforms=[_base_.resize]),
    _base_.tokenizer,
    dict(type='PackCaptionInputs'),
]
msrvtt = dict(
    ann_file='msrvtt/test.csv',
    data_prefix=dict(img_path='msrvtt/videos'),
    reader=dict(_delete_=True, type='msrvtt', suffix='.mp4'),
    pipeline=test_pipeline,
)
val_dataloader = dict(batch_size=8, dataset=msrvtt)
test_dataloader = dict(batch_size=8, dataset=msrvtt)
val_evaluator = dict(metrics=[dict(type='TextToVideoRecall')])
test_evaluator = val_evaluator
