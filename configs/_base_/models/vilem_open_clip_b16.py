"""ViLEM on open_clip's ViT-B/16, M_1 = 6. Needs the extra open-clip."""

_base_ = ['./open_clip_b16.py', './vilem_parts.py']

model = dict(
    type='ViLEM',
    # As in vilem_clip_b16.py; h^v is the projected feature here.
    text_encoder=dict(num_cross_layers=6, memory_dims=768, shift_dims=512, edit_causal=True),
    contrastive_head=dict(type='ContrastiveHead', embed_dims=512, queue_size=65536, multi_positive=True),
    corruptor=dict(_base_.corruptor, tokenizer='openai/clip-vit-base-patch16'),  # open_clip's vocabulary is CLIP's
    detection_head=dict(type='ErrorDetectionHead', in_dims=512),
    correction_head=dict(type='ErrorCorrectionHead', in_dims=512, vocab_size=49408, max_edits=8),
    **_base_.paths,
)
