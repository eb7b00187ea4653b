"""ViLEM on real photographs from starter weights (Table 5, H), on a CPU: captions are edited by minilm_mlm.py's model.

python tools/train.py configs/flickr8k/vilem_starter.py --amp
"""

_base_ = [
    '../_base_/models/vilem_starter.py',
    '../_base_/datasets/flickr8k.py',
    '../_base_/schedules/flickr8k.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='t2i_R@1', rule='greater'))
# Recall, and how well the edits of a fixed seed are found and corrected.
model = dict(init_cfg=_base_.ridge_start, proofread_seed=0)
val_evaluator = dict(metrics=[dict(type='ImageTextRecall'), dict(type='ProofreadingMetric')])
test_evaluator = val_evaluator
