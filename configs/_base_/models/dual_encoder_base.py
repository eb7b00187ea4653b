"""The contrastive baseline (Section 3.1 of the paper): ViT-B/16 from ImageNet, BERT-base, momentum encoders, queues."""

model = dict(
    type='DualEncoder',
    data_preprocessor=dict(type='VLDataPreprocessor', mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    image_encoder=dict(
        type='MultiLevelViT',
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch='deit-base',
            img_size=256,
            patch_size=16,
            out_indices=tuple(range(12)),
            out_type='raw',
            # A plain 0: mmpretrain's own is NumPy's, on which torch.compile breaks the graph.
            layer_cfgs=dict(drop_path_rate=0.0),
        ),
        init_cfg=dict(type='ViTPretrained', checkpoint='checkpoints/deit_base_patch16_224.pth'),
    ),
    text_encoder=dict(
        type='BertTextEncoder',
        num_cross_layers=0,
        init_cfg=dict(type='HFPretrained', folder='checkpoints/bert-base-uncased'),
    ),
    contrastive_head=dict(
        type='ContrastiveHead',
        embed_dims=256,
        queue_size=65536,
        temperature=0.07,
        multi_positive=False,
        distill_alpha=0.0,  # momentum distillation would be 0.4, with the steps of an epoch as distill_ramp
    ),
    embed_dims=256,
    momentum=0.995,
    momentum_features=False,
)
