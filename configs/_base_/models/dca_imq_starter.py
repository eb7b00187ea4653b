"""The paper's model on starter weights (requirements/starter.txt): the same neck and heads, EfficientNet-Lite0, MiniLM.

Nothing is frozen: ImageNet's features do not show where a picture was blended.
"""

grid = (7, 7)  # of 224 pixels
image_dims = 1280 + 4 * 112
dims = 384  # MiniLM's
model = dict(
    type='ManipulationDetector',
    data_preprocessor=dict(type='VLDataPreprocessor', mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), channels_last=True),
    image_encoder=dict(
        type='TIMMImageEncoder',
        model_name='tf_efficientnet_lite0',
        # Stride 16 below 32: most faces of photos are smaller than a cell of 32 pixels, and so are the traces.
        fine_level=3,
        norm_eval=True,  # as is usual where a pre-trained network learns from small batches
        float32_depthwise=True,  # with --amp on a CPU
        init_cfg=dict(type='StarterWeights', name='efficientnet_lite0'),
    ),
    text_encoder=dict(
        type='BertTextEncoder',
        embed_dims=dims,
        num_layers=6,
        num_heads=12,
        ffn_dims=1536,
        pooling='mean',
        init_cfg=dict(type='StarterWeights', name='minilm'),
    ),
    neck=dict(
        type='DCANeck',
        image_dims=image_dims,
        text_dims=dims,
        embed_dims=dims,
        num_heads=6,
        ffn_dims=2 * dims,
        num_image_layers=2,
        num_text_layers=2,
        drop=0.1,
        attn_drop=0.0,
        image_grid=grid,
    ),
    binary_head=dict(type='BinaryHead', in_dims=dims, hidden_dims=2 * dims),
    type_head=dict(type='DFCHead', in_dims=dims, hidden_dims=dims, num_image_types=2, loss_weight=2.0),
    box_head=dict(
        type='IMQBoxHead',
        in_dims=dims,
        hidden_dims=dims,
        num_heads=6,
        loss_weight=2.0,
        # The type head says whether there is a box; the box head learns from those there are, and from no others.
        supervise_empty='none',
        no_box_rule='type',
    ),
    token_head=dict(type='IMQTokenHead', in_dims=dims, num_heads=6, reduced_dims=dims, loss_weight=2.0),
)
