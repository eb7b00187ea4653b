"""DGM⁴+: the classes of DGM⁴, but the real one is called 'origin'.

bash tools/dist_train.sh configs/dgm4_plus/dca_imq_dgm4_plus.py 8
"""

_base_ = '../dgm4/dca_imq.py'
data_root = 'data/DGM4_plus/'
dgm4_plus = dict(data_root=data_root, real_class='origin')
train_dataloader = dict(dataset=dgm4_plus)
val_dataloader = dict(dataset=dgm4_plus)
test_dataloader = dict(dataset=dgm4_plus)
