"""Table 2, "Baseline": no M_i, one multi-label classifier, plain MLPs for grounding.

bash tools/dist_train.sh configs/dgm4/dca_imq_baseline.py 8
"""

_base_ = './dca_imq.py'
model = dict(
    neck=dict(num_image_layers=0),
    type_head=dict(_delete_=True, type='MultiLabelHead', in_dims=768, hidden_dims=1536),
    box_head=dict(_delete_=True, type='BoxHead', in_dims=768, hidden_dims=768, loss_weight=0.1),
    token_head=dict(_delete_=True, type='TokenMLPHead', in_dims=768, hidden_dims=768),
)
