"""The quick start: ViLEM on the embedded small caption set, minutes on two CPU cores.

python tools/train.py configs/vilem/vilem_mini.py
"""

_base_ = [
    '../_base_/models/vilem_mini.py',
    '../_base_/datasets/mini_captions.py',
    '../_base_/schedules/vilem_mini.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='t2i_R@1', rule='greater'))
# Recall, and how well the edits of a fixed seed are found and corrected.
model = dict(proofread_seed=0)
val_evaluator = dict(metrics=[dict(type='ImageTextRecall'), dict(type='ProofreadingMetric')])
test_evaluator = val_evaluator
