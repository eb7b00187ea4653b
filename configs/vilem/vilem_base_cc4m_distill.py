"""Momentum distillation, which the paper does not use: the share of soft targets rises to 0.4 over the first epoch.

bash tools/dist_train.sh configs/vilem/vilem_base_cc4m_distill.py 32
"""

_base_ = './vilem_base_cc4m.py'
model = dict(contrastive_head=dict(distill_alpha=0.4, distill_ramp=2490))  # 5.1 million pairs, 2048 a step
