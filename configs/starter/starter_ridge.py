"""Photos and words by starter weights, aligned by ridge regression on captions of one's own, without gradients.

python tools/test.py configs/starter/starter_ridge.py

`mmvlforge align` does the same for any file of captions, and writes a model.
"""

_base_ = [
    '../_base_/models/starter.py',
    '../_base_/datasets/photos_288.py',
    '../_base_/schedules/evaluation.py',
    '../_base_/default_runtime.py',
]
ready = True  # all weights come from init_cfg: no checkpoint is needed
# Fitted to the captions of other pictures than those of the test.
fit_dataloader = dict(
    _base_.test_dataloader, dataset=dict(_base_.test_dataloader.dataset, ann_file='train_captions.csv')
)
model = dict(init_cfg=dict(type='RidgeAlignment', dataloader=fit_dataloader))
