"""ViLEM on SigLIP 2 ViT-B/16, M_1 = 6, with SigLIP's own loss as L_align: no queues, no momentum encoders."""

_base_ = ['./siglip2_b16.py', './vilem_parts.py']

model = dict(
    type='ViLEM',
    text_encoder=dict(num_cross_layers=6, memory_dims=768, shift_dims=768),
    # Scale and bias start at SigLIP's. Captions of one picture meet in a batch.
    contrastive_head=dict(type='SigmoidContrastiveHead', multi_positive=True),
    corruptor=dict(_base_.corruptor, tokenizer=_base_.hub),
    detection_head=dict(type='ErrorDetectionHead', in_dims=768),
    correction_head=dict(type='ErrorCorrectionHead', in_dims=768, vocab_size=256000, max_edits=8),
    **_base_.paths,
)
