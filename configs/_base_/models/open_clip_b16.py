"""open_clip's ViT-B/16, trained on LAION-2B, as a dual encoder, to retrieve as it is. Needs the extra open-clip."""

model = dict(
    type='DualEncoder',
    data_preprocessor=dict(type='VLDataPreprocessor'),  # CLIP's own mean and deviation
    image_encoder=dict(type='OpenCLIPImageEncoder', arch='ViT-B-16'),
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
        activation='gelu',
        norm_eps=1e-5,
    ),
    image_dims=None,  # the image tower has its projection in it
    text_dims=512,
    embed_dims=512,
    proj_bias=False,
    init_cfg=dict(type='OpenCLIPPretrained', pretrained='laion2b_s34b_b88k'),  # or a local file
)
