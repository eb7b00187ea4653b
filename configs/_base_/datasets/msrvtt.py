"""MSR-VTT 1k-A: 1,000 videos, 8 frames of each, and a sentence."""

_base_ = './retrieval_256.py'

data_root = 'data/msrvtt/'  # MSRVTT_JSFUSION_test.csv and videos/
test_pipeline = [
    dict(type='LoadFrames', num_frames=8),
    dict(type='CleanCaptions', max_words=35),
    dict(type='ForEachImage', transforms=[_base_.resize]),
    _base_.tokenizer,
    dict(type='PackCaptionInputs'),
]
msrvtt = dict(
    data_root=data_root,
    ann_file='MSRVTT_JSFUSION_test.csv',
    data_prefix=dict(img_path='videos'),
    reader=dict(_delete_=True, type='msrvtt', suffix='.mp4'),
    pipeline=test_pipeline,
)
val_dataloader = dict(batch_size=8, dataset=msrvtt)
test_dataloader = dict(batch_size=8, dataset=msrvtt)
val_evaluator = dict(metrics=[dict(type='TextToVideoRecall')])
test_evaluator = val_evaluator
