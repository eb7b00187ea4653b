"""Table 2, "Ours w/o DFC": one multi-label classifier on both [CLS] embeddings.

bash tools/dist_train.sh configs/dgm4/dca_imq_no_dfc.py 8
"""

_base_ = './dca_imq.py'
model = dict(type_head=dict(_delete_=True, type='MultiLabelHead', in_dims=768, hidden_dims=1536))
