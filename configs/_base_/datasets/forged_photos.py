"""A set made from one's own photos: mmvlforge forge photos CAPTIONS data/forged_photos --image-root PHOTOS"""

_base_ = './dgm4.py'

data_root = 'data/forged_photos/'
tokenizer = dict(type='WordTokenizer', name=data_root + 'tokenizer', max_length=50)
caption_cleaning = None  # captions are as people wrote them
# Said with every answer of a model that was trained on it.
trained_on = 'photos forged by program (mmvlforge forge photos)'
model_warnings = [
    "the model knows only forgeries made by program: blended faces, swapped and turned words, no generator's"
]
image_size = (224, 224)

# As mmvlforge.forge.photos.CLASS_MAP.
image_types = ('real', 'face_blend')
text_types = ('real', 'text_swap', 'text_attribute')
class_map = {
    'orig': ('real', 'real'),
    'text_swap': ('real', 'text_swap'),
    'text_attribute': ('real', 'text_attribute'),
    'face_blend': ('face_blend', 'real'),
    'face_blend&text_swap': ('face_blend', 'text_swap'),
    'face_blend&text_attribute': ('face_blend', 'text_attribute'),
}
resize = dict(type='Resize', scale=image_size, keep_ratio=False, interpolation='bicubic', backend='pillow')
train_pipeline = [  # no change of colours: a blended face is told by them
    tokenizer,
    dict(type='LoadImage', target_size=image_size),
    dict(type='RandomFlip', prob=0.5),
    resize,
    dict(type='PackManipulationInputs'),
]
test_pipeline = [
    tokenizer,
    dict(type='LoadImage', target_size=image_size),
    resize,
    dict(type='PackManipulationInputs'),
]

types = dict(class_map=class_map, image_types=image_types, text_types=text_types)
of_set = dict(data_root=data_root, **types)
train_dataloader = dict(num_workers=2, dataset=dict(**of_set, pipeline=train_pipeline))
val_dataloader = dict(num_workers=2, dataset=dict(**of_set, pipeline=test_pipeline))
test_dataloader = dict(num_workers=2, dataset=dict(**of_set, pipeline=test_pipeline))
