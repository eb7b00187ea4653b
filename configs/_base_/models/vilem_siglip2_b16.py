"""ViLEM on SigLIP 2 ViT-B/16, M_1 = 6, with SigLIP's own loss as L_align: no queues, no momentum encoders."""

_base_ = './siglip2_b16.py'

model = dict(
    type='ViLEM',
    text_encoder=dict(num_cross_layers=6, memory_dims=768, shift_dims=768),
    # Scale and bias start at SigLIP's. Captions of one picture meet in a batch.
    contrastive_head=dict(type='SigmoidContrastiveHead', multi_positive=True),
    # BERT edits, in SigLIP's vocabulary.
    corruptor=dict(
        type='TextCorruptor',
        name='checkpoints/bert-base-uncased',
        tokenizer=_base_.hub,
        rate=0.15,
        max_edits=8,
        top_k=20,
    ),
    num_edit_layers=6,
    local_path=dict(type='LocalPath', loss_weight=0.8),  # lambda 1
    global_path=dict(type='GlobalPath', loss_weight=0.2),  # lambda 2
    detection_head=dict(type='ErrorDetectionHead', in_dims=768),
    correction_head=dict(type='ErrorCorrectionHead', in_dims=768, vocab_size=256000, max_edits=8),
)
