"""No training, only evaluation."""

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
