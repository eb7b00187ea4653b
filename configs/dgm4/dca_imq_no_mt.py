"""Table 2, "Ours w/o M_t": the text branch of DCA is deleted.

bash tools/dist_train.sh configs/dgm4/dca_imq_no_mt.py 8
"""

_base_ = './dca_imq.py'
model = dict(neck=dict(num_text_layers=0))
