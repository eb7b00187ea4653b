"""ViLEM on OpenAI's CLIP ViT-B/16, M_1 = 6."""

_base_ = ['./clip_b16.py', './vilem_parts.py']

model = dict(
    type='ViLEM',
    text_encoder=dict(
        num_cross_layers=6,
        memory_dims=768,
        shift_dims=768,
        # CLIP reads one way, the paper's BERT both: True keeps CLIP's way as it proofreads. See PreNormTextEncoder.
        edit_causal=True,
    ),
    # The temperature starts at CLIP's. Captions of one picture meet in a batch or a queue.
    contrastive_head=dict(type='ContrastiveHead', embed_dims=512, queue_size=65536, multi_positive=True),
    corruptor=dict(_base_.corruptor, tokenizer=_base_.hub),
    detection_head=dict(type='ErrorDetectionHead', in_dims=512),
    correction_head=dict(type='ErrorCorrectionHead', in_dims=512, vocab_size=49408, max_edits=8),
    **_base_.paths,
)
