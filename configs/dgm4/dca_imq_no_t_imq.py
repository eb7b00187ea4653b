"""Table 2, "Ours w/o T-IMQ": an MLP classifies each token.

bash tools/dist_train.sh configs/dgm4/dca_imq_no_t_imq.py 8
"""

_base_ = './dca_imq.py'
model = dict(token_head=dict(_delete_=True, type='TokenMLPHead', in_dims=768, hidden_dims=768))
