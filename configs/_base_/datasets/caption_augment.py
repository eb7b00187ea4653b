"""Augmentation of pictures whose captions are read: ALBEF's published list and strengths, at 256 pixels."""

enhance = dict(magnitude_range=(-0.9, 0.9), random_negative_prob=0.0)  # a factor of .1 to 1.9: 1.36 at level 7
translate = dict(type='mmpretrain.Translate', magnitude_range=(0, 10 / 256))  # 10 pixels: 7 at level 7
# No operation changes a colour, which captions name.
augment_policies = [
    dict(type='Compose', transforms=[]),  # Identity
    dict(type='mmpretrain.AutoContrast'),
    dict(type='mmpretrain.Equalize'),
    dict(type='mmpretrain.Brightness', **enhance),
    dict(type='mmpretrain.Sharpness', **enhance),
    dict(type='mmpretrain.Shear', magnitude_range=(0, 0.3), direction='horizontal'),
    dict(type='mmpretrain.Shear', magnitude_range=(0, 0.3), direction='vertical'),
    dict(translate, direction='horizontal'),
    dict(translate, direction='vertical'),
    dict(type='mmpretrain.Rotate', magnitude_range=(0, 30)),
]
augment = dict(
    type='mmpretrain.RandAugment',
    policies=augment_policies,
    num_policies=2,
    magnitude_level=7,
    # Every chosen operation is applied. (prob=0.5 in copies of ALBEF's code: more than a quarter of the pictures stay
    # as they are.) What moves in is grey; of a single 128, Rotate makes red.
    hparams=dict(prob=1.0, pad_val=(128, 128, 128), interpolation='bilinear'),
)
