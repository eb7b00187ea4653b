"""Pictures and captions in one space from the first step, by ridge regression on photos of the training split.

mmvlforge align FLICKR8K/captions.csv --images FLICKR8K/images --reader type=csv images=train.txt \
    --out work_dirs/forged_aligned
python tools/train.py configs/forged/dca_imq_starter_ridge.py
"""

_base_ = './dca_imq_starter.py'
model = dict(
    neck=dict(init_cfg=dict(type='AlignedPretrained', checkpoint='work_dirs/forged_aligned/model.safetensors'))
)
