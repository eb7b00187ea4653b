"""The public captions of DGM⁴ without their images: train on val.json, test on test_usa_today.json.

Face types count as real, because without the image nobody can know them. The tokenizer is trained on the captions:
python tools/data/train_tokenizer.py data/dgm4_annotations/val.json data/dgm4_annotations/tokenizer
"""

data_root = 'data/dgm4_annotations/'
tokenizer = dict(type='WordTokenizer', name=data_root + 'tokenizer', max_length=50)
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
pipeline = [dict(type='PackManipulationInputs')]

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='DGM4Dataset',
        data_root=data_root,
        ann_file='val.json',
        tokenizer=tokenizer,
        class_map=class_map,
        box_field=None,
        pipeline=pipeline,
    ),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=1,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DGM4Dataset',
        data_root=data_root,
        ann_file='test_usa_today.json',
        tokenizer=tokenizer,
        class_map=class_map,
        box_field=None,
        pipeline=pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='Evaluator',
    metrics=[dict(type='BinaryMetric'), dict(type='ManipulationTypeMetric'), dict(type='TokenMetric')],
)
test_evaluator = val_evaluator
