"""SAMM: its two manipulations change picture and caption together.

bash tools/dist_train.sh configs/samm/dca_imq_samm.py 8
"""

_base_ = '../dgm4/dca_imq.py'
data_root = 'data/SAMM/'
caption_cleaning = None  # punctuation stays in SAMM's captions
classes = dict(
    orig=('real', 'real'),
    swap_manipulation=('face_swap', 'text_swap'),
    attribute_manipulation=('face_attribute', 'text_attribute'),
)
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='jsons/train.json', class_map=classes))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='jsons/val.json', class_map=classes))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='jsons/test.json', class_map=classes))
