"""Augmentation of pictures whose captions are read."""

# The usual operations without those that change a colour, which captions name.
augment_policies = [
    dict(type='mmpretrain.AutoContrast'),
    dict(type='mmpretrain.Equalize'),
    dict(type='mmpretrain.Brightness', magnitude_range=(0, 0.9)),
    dict(type='mmpretrain.Sharpness', magnitude_range=(0, 0.9)),
    dict(type='mmpretrain.Rotate', magnitude_range=(0, 30)),
    dict(type='mmpretrain.Shear', magnitude_range=(0, 0.3), direction='horizontal'),
    dict(type='mmpretrain.Shear', magnitude_range=(0, 0.3), direction='vertical'),
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.45), direction='horizontal'),
    dict(type='mmpretrain.Translate', magnitude_range=(0, 0.45), direction='vertical'),
]
augment = dict(type='mmpretrain.RandAugment', policies=augment_policies, num_policies=2, magnitude_level=7)
