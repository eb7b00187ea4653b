"""OpenAI's CLIP ViT-B/16 as a dual encoder, to retrieve as it is."""

hub = 'openai/clip-vit-base-patch16'  # or a local folder of it
model = dict(
    type='DualEncoder',
    data_preprocessor=dict(type='VLDataPreprocessor'),  # CLIP's own mean and deviation
    image_encoder=dict(
        type='HFImageEncoder',
        config=dict(
            model_type='clip_vision_model',
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            intermediate_size=3072,
            hidden_act='quick_gelu',
            image_size=224,
            patch_size=16,
        ),
    ),
    text_encoder=dict(
        type='PreNormTextEncoder',
        vocab_size=49408,
        embed_dims=512,
        num_layers=12,
        num_heads=8,
        ffn_dims=2048,
        max_length=77,
        causal=True,
        eos_id=49407,
        activation='quick_gelu',
        norm_eps=1e-5,
    ),
    image_dims=768,
    text_dims=512,
    embed_dims=512,
    proj_bias=False,
    init_cfg=dict(type='HubPretrained', name=hub),
)
