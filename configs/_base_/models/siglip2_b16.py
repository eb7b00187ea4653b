"""SigLIP 2 ViT-B/16 at 256 pixels as a dual encoder, to retrieve as it is.

At 512 pixels: name='google/siglip2-base-patch16-512', image_size=512.
"""

hub = 'google/siglip2-base-patch16-256'  # or a local folder of it
model = dict(
    type='DualEncoder',
    data_preprocessor=dict(type='VLDataPreprocessor', mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    image_encoder=dict(
        type='HFImageEncoder',
        config=dict(
            model_type='siglip_vision_model',  # SigLIP 2 of a fixed size has SigLIP's architecture
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            intermediate_size=3072,
            hidden_act='gelu_pytorch_tanh',
            image_size=256,
            patch_size=16,
        ),
    ),
    text_encoder=dict(
        type='PreNormTextEncoder',
        vocab_size=256000,
        embed_dims=768,
        num_layers=12,
        num_heads=12,
        ffn_dims=3072,
        max_length=64,
        causal=False,
        eos_id=None,  # the feature is that of the last of 64 positions, whatever stands there
        pad_id=0,
        activation='gelu_pytorch_tanh',
        norm_eps=1e-6,
    ),
    image_dims=None,  # the attention pooling's output is the picture's feature
    text_dims=768,
    embed_dims=768,
    init_cfg=dict(type='HubPretrained', name=hub),
)
