"""The public captions of DGM⁴ without their images: train on val.json, test on test_usa_today.json.

Face types count as real, because without the image nobody can know them. The tokenizer is trained on the captions:
mmvlforge forge tokenizer data/dgm4_annotations/val.json data/dgm4_tokenizer --vocab-size 8000
"""

_base_ = './dgm4.py'

data_root = 'data/dgm4_annotations/'
tokenizer = dict(type='WordTokenizer', name='data/dgm4_tokenizer', max_length=50)
class_map = {
    'orig': ('real', 'real'),
    'face_swap': ('real', 'real'),
    'face_attribute': ('real', 'real'),
    'text_swap': ('real', 'text_swap'),
    'face_swap&text_swap': ('real', 'text_swap'),
    'face_attribute&text_swap': ('real', 'text_swap'),
    'text_attribute': ('real', 'text_attribute'),
    'face_swap&text_attribute': ('real', 'text_attribute'),
    'face_attribute&text_attribute': ('real', 'text_attribute'),
}
train_pipeline = [tokenizer, dict(type='PackManipulationInputs')]
test_pipeline = train_pipeline

train_dataset = dict(
    data_root=data_root,
    ann_file='val.json',
    class_map=class_map,
    box_field=None,
    pipeline=train_pipeline,
)
test_dataset = dict(train_dataset, ann_file='test_usa_today.json')
train_dataloader = dict(batch_size=64, num_workers=1, pin_memory=False, dataset=train_dataset)
val_dataloader = dict(batch_size=256, num_workers=1, persistent_workers=False, pin_memory=False, dataset=test_dataset)
test_dataloader = val_dataloader
val_evaluator = dict(
    metrics=[dict(type='BinaryMetric'), dict(type='ManipulationTypeMetric'), dict(type='TokenMetric')],
)
test_evaluator = val_evaluator
