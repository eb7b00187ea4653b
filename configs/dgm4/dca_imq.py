"""The paper's model on DGM⁴: every value the paper leaves open is commented where it stands in ``_base_``.

bash tools/dist_train.sh configs/dgm4/dca_imq.py 8
"""

_base_ = [
    '../_base_/models/dca_imq.py',
    '../_base_/datasets/dgm4.py',
    '../_base_/schedules/adamw_cosine_50e.py',
    '../_base_/default_runtime.py',
]

# METER's weights, by `mmvlforge weights convert-meter`. The paper starts from them; None starts from nothing.
load_from = 'checkpoints/meter_dca.pth'
default_hooks = dict(checkpoint=dict(save_best='AUC', rule='greater'))
