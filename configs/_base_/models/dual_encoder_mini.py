"""The contrastive baseline in small, on encoders that learn from nothing in minutes."""

dims = 128
vocab_size = 66  # of the mini set's tokenizer
# The words of the templates that state nothing: replacing them would not make a caption false.
stop_words = ['a', 'and', 'in', 'is', 'near', 'of', 'the', 'while', 'with']
model = dict(
    type='DualEncoder',
    data_preprocessor=dict(type='VLDataPreprocessor', channels_last=True),
    image_encoder=dict(
        type='HybridImageEncoder',
        stem=dict(
            type='ConvImageEncoder',  # 8 x 8 tokens from 128 pixels
            embed_dims=dims,
            num_patches=64,
            channels=(32, 48, 96, 128),
            strides=(4, 1, 2, 2),
        ),
        embed_dims=dims,
        num_layers=2,
        num_heads=4,
        ffn_dims=2 * dims,
    ),
    text_encoder=dict(
        type='BertTextEncoder',
        vocab_size=vocab_size,
        embed_dims=dims,
        num_layers=4,
        num_heads=4,
        ffn_dims=2 * dims,
        max_length=64,
        num_cross_layers=0,
        drop=0.0,
        attn_drop=0.0,
    ),
    contrastive_head=dict(type='ContrastiveHead', embed_dims=dims, queue_size=1024),
    image_dims=dims,
    text_dims=dims,
    embed_dims=dims,
    momentum=0.98,
)
