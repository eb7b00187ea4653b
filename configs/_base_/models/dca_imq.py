"""DCA + DFC + IMQ (Sections 2.1-2.4 of the paper), 327 M parameters (the paper says 328 M)."""

model = dict(
    type='ManipulationDetector',
    data_preprocessor=dict(type='VLDataPreprocessor'),
    image_encoder=dict(
        type='ViTImageEncoder',
        # METER's CLIP tower: 11 blocks, QuickGELU, a norm before and after the blocks.
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(embed_dims=768, num_layers=11, num_heads=12, feedforward_channels=3072),
            img_size=256,
            patch_size=16,
            out_type='raw',
            pre_norm=True,
            final_norm=True,
            norm_cfg=dict(type='LN', eps=1e-5),
            patch_cfg=dict(bias=False),
            layer_cfgs=dict(
                act_cfg=dict(type='mmpretrain.QuickGELU'),
                # A plain 0: mmpretrain's own is NumPy's, on which torch.compile breaks the graph.
                drop_path_rate=0.0,
            ),
        ),
    ),
    text_encoder=dict(
        type='HFTextEncoder',
        config=dict(  # roberta-base
            model_type='roberta',
            vocab_size=50265,
            max_position_embeddings=514,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
        ),
    ),
    neck=dict(
        type='DCANeck',
        image_dims=768,
        text_dims=768,
        embed_dims=768,
        num_heads=12,
        ffn_dims=3072,
        num_image_layers=6,
        num_text_layers=6,
        drop=0.1,
        attn_drop=0.1,
    ),
    binary_head=dict(type='BinaryHead', in_dims=768, hidden_dims=1536),
    type_head=dict(type='DFCHead', in_dims=768, hidden_dims=768, loss_weight=1.0),  # alpha
    box_head=dict(
        type='IMQBoxHead',
        in_dims=768,
        hidden_dims=768,
        num_heads=12,
        num_queries=1,  # the paper does not say
        loss_weight=0.1,  # beta
        supervise_empty='both',  # published practice: L1 and GIoU learn zero targets for pictures without a region
        no_box_rule='coord',  # the published rule
    ),
    token_head=dict(type='IMQTokenHead', in_dims=768, num_heads=12, reduced_dims=256, loss_weight=1.0),  # gamma
)
