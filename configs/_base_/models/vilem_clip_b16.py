"""ViLEM on OpenAI's CLIP ViT-B/16, M_1 = 6."""

_base_ = './clip_b16.py'

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
    # BERT edits, in CLIP's vocabulary.
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
    detection_head=dict(type='ErrorDetectionHead', in_dims=512),
    correction_head=dict(type='ErrorCorrectionHead', in_dims=512, vocab_size=49408, max_edits=8),
)
