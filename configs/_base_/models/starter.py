"""A dual encoder of starter weights (requirements/starter.txt): EfficientNet-Lite0 of ImageNet and all-MiniLM-L6-v2.

Its shared space is the text encoder's own, centred.
"""

image_dims = 1280
text_dims = 384
# Frozen: batch norms folded, channels-last.
stem = dict(
    type='TIMMImageEncoder',
    model_name='tf_efficientnet_lite0',
    frozen=True,
    init_cfg=dict(type='StarterWeights', name='efficientnet_lite0'),
)
model = dict(
    type='DualEncoder',
    data_preprocessor=dict(type='VLDataPreprocessor', mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), channels_last=True),
    image_encoder=dict(type='SingleLevelEncoder', stem=stem),
    text_encoder=dict(
        type='BertTextEncoder',
        embed_dims=text_dims,
        num_layers=6,
        num_heads=12,
        ffn_dims=1536,
        pooling='mean',
        init_cfg=dict(type='StarterWeights', name='minilm'),
    ),
    image_dims=image_dims,
    text_dims=text_dims,
    embed_dims=text_dims,
)
