"""ViLEM's mini config in small, for tests that run it."""


def tiny_model(vocab_size: int) -> dict:
    """Settings over ``configs/vilem/vilem_mini.py``: 16 channels and a short queue."""
    stem = dict(type='ConvImageEncoder', embed_dims=16, num_patches=64, channels=(8, 8, 8, 16), strides=(4, 1, 2, 2))
    return {
        'model.image_encoder.stem': stem,
        **{f'model.{encoder}_encoder.{key}': 16 for encoder in ('image', 'text') for key in ('embed_dims', 'ffn_dims')},
        **{f'model.{key}': 16 for key in ('image_dims', 'text_dims', 'embed_dims')},
        'model.text_encoder.vocab_size': vocab_size,
        'model.contrastive_head.embed_dims': 16,
        'model.contrastive_head.queue_size': 8,
        'model.detection_head.in_dims': 16,
        'model.correction_head.in_dims': 16,
        'model.correction_head.vocab_size': vocab_size,
    }
