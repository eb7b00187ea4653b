"""Table 7, C: edited captions as hard negatives of the contrastive loss, on 1 million pairs of CC3M.

bash tools/dist_train.sh configs/vilem/vilem_table7_c.py 32
"""

_base_ = './vilem_table5_a.py'
model = dict(
    type='EditedTextContrast',
    corruptor=dict(type='TextCorruptor', name='checkpoints/bert-base-uncased'),
)
