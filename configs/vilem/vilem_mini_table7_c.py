"""Table 7, C: edited captions as hard negatives of the contrastive loss, on the mini set.

python tools/train.py configs/vilem/vilem_mini_table7_c.py
"""

_base_ = './vilem_mini_table5_a.py'
model = dict(
    type='EditedTextContrast',
    corruptor=dict(type='TextCorruptor', name='work_dirs/mini_lm/hf', stop_words=_base_.stop_words),
)
