"""ViLEM (Sections 3.2 and 3.3 of the paper) on the contrastive baseline, M_1 = 6."""

_base_ = './dual_encoder_base.py'

model = dict(
    type='ViLEM',
    # In a BERT that is trained already, a cross-attention that is not starts with the deviation that BERT starts with.
    text_encoder=dict(num_cross_layers=6, cross_gain=0.5),
    corruptor=dict(type='TextCorruptor', name='checkpoints/bert-base-uncased', rate=0.15, max_edits=8, top_k=20),
    num_edit_layers=6,
    local_path=dict(type='LocalPath', loss_weight=0.8),  # lambda 1
    global_path=dict(type='GlobalPath', loss_weight=0.2),  # lambda 2
    detection_head=dict(type='ErrorDetectionHead'),
    # The head that BERT filled gaps with, where the folder has it.
    correction_head=dict(
        type='ErrorCorrectionHead',
        max_edits=8,
        init_cfg=dict(type='HFPretrained', folder='checkpoints/bert-base-uncased'),
    ),
)
