"""The paper's model in small: the same neck and heads on encoders that learn from nothing in minutes."""

dims = 128
model = dict(
    type='ManipulationDetector',
    data_preprocessor=dict(type='VLDataPreprocessor', channels_last=True),
    image_encoder=dict(
        type='ConvImageEncoder',  # 8 x 8 tokens from 128 pixels
        embed_dims=dims,
        num_patches=64,
        channels=(32, 48, 96, 128),
        strides=(4, 1, 2, 2),
    ),
    text_encoder=dict(
        type='HFTextEncoder',
        config=dict(
            model_type='roberta',
            vocab_size=1500,
            hidden_size=dims,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=2 * dims,
            max_position_embeddings=64,
            type_vocab_size=1,
            initializer_range=0.02,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
    ),
    neck=dict(
        type='DCANeck',
        image_dims=dims,
        text_dims=dims,
        embed_dims=dims,
        num_heads=4,
        ffn_dims=4 * dims,
        num_image_layers=2,
        num_text_layers=2,
        drop=0.0,
        attn_drop=0.0,
    ),
    binary_head=dict(type='BinaryHead', in_dims=dims, hidden_dims=2 * dims),
    # What two modalities mean together is learnt late: its losses weigh more.
    type_head=dict(type='DFCHead', in_dims=dims, hidden_dims=dims, loss_weight=2.0),
    box_head=dict(
        type='IMQBoxHead',
        in_dims=dims,
        hidden_dims=dims,
        num_heads=4,
        loss_weight=2.0,
        # GIoU of a picture without a region is 1 at best: with so large a weight it would keep the words from learning.
        supervise_empty='l1',
        no_box_rule='type',
    ),
    token_head=dict(type='IMQTokenHead', in_dims=dims, num_heads=4, reduced_dims=dims, loss_weight=6.0),
)
