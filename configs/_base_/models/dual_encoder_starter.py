"""The contrastive baseline on starter weights: a frozen EfficientNet-Lite0 below three transformer layers, and MiniLM.

The shared space is the text encoder's. With RidgeAlignment as init_cfg training begins at the ridge regression from
photos to captions: the new layers are added to it by a map that begins at zero.
"""

_base_ = './starter.py'

dims = 384
model = dict(
    image_encoder=dict(
        _delete_=True,
        type='HybridImageEncoder',
        stem=_base_.stem,
        stem_dims=1280,
        embed_dims=dims,
        num_layers=3,
        num_heads=6,
        ffn_dims=2 * dims,
        drop=0.1,
        skip=True,
    ),
    contrastive_head=dict(
        type='ContrastiveHead',
        embed_dims=dims,
        queue_size=2048,
        temperature=0.07,
        multi_positive=True,  # five captions a photo
        # A few thousand photos are soon known by heart; the momentum encoders forget more slowly, and see likeness
        # between photos where hard targets see none.
        distill_alpha=0.5,
        distill_ramp=60,
    ),
    image_dims=dims,
    momentum=0.98,
    momentum_features=True,
)
