"""DCA + DFC + IMQ from starter weights, on forged photos (_base_/datasets/forged_mix.py says how they are made).

python tools/train.py configs/forged/dca_imq_starter.py --amp

Before that, face_traces.py must be trained, and the ridge regression fitted that the neck begins at:

mmvlforge align FLICKR8K/captions.csv --images FLICKR8K/images --reader type=csv images=train.txt \
    --out work_dirs/forged_aligned
"""

_base_ = [
    '../_base_/models/dca_imq_starter.py',
    '../_base_/datasets/forged_mix.py',
    '../_base_/schedules/forged.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='AUC', rule='greater'))
