"""ViLEM in small, M_1 = 2."""

_base_ = './dual_encoder_mini.py'

model = dict(
    type='ViLEM',
    text_encoder=dict(num_cross_layers=2),
    corruptor=dict(
        type='TextCorruptor',
        name='work_dirs/mini_lm/hf',
        stop_words=_base_.stop_words,
    ),
    num_edit_layers=2,
    local_path=dict(type='LocalPath'),
    global_path=dict(type='GlobalPath'),
    detection_head=dict(type='ErrorDetectionHead', in_dims=_base_.dims),
    correction_head=dict(type='ErrorCorrectionHead', in_dims=_base_.dims, vocab_size=_base_.vocab_size),
)
