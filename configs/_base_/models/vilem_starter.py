"""ViLEM (Sections 3.2 and 3.3 of the paper) on starter weights, M_1 = 3: half of MiniLM's layers."""

_base_ = './dual_encoder_starter.py'

model = dict(
    type='ViLEM',
    text_encoder=dict(num_cross_layers=3, cross_gain=0.5),
    # MiniLM has no head to fill gaps with: configs/flickr8k/minilm_mlm.py trains one.
    corruptor=dict(type='TextCorruptor', name='work_dirs/minilm_mlm/hf'),
    num_edit_layers=3,
    local_path=dict(type='LocalPath', loss_weight=0.8),  # lambda 1
    global_path=dict(type='GlobalPath', loss_weight=0.2),  # lambda 2
    detection_head=dict(type='ErrorDetectionHead', in_dims=_base_.dims),
    correction_head=dict(
        type='ErrorCorrectionHead',
        in_dims=_base_.dims,
        init_cfg=dict(type='HFPretrained', folder='work_dirs/minilm_mlm/hf'),
    ),
)
