"""Flickr8k and portraits, forged, as one set. FLICKR8K holds captions.csv and dev.txt, PORTRAITS a people.csv.

mmvlforge forge photos FLICKR8K/captions.csv data/forged/flickr8k --image-root FLICKR8K/images --faces mtcnn \
    --min-face 24 --only-faces --val 0.05 --test 0 --test-list FLICKR8K/dev.txt --repeats 4
mmvlforge forge photos FLICKR8K/captions.csv data/forged/flickr8k_words --image-root FLICKR8K/images --faces mtcnn \
    --min-face 24 --val 0.05 --test 0 --test-list FLICKR8K/dev.txt
mmvlforge forge photos PORTRAITS/people.csv data/forged/portraits --image-root PORTRAITS/images --faces mtcnn \
    --min-face 24 --only-faces --val 0.05 --test 0.25 --repeats 3 --reader csv \
    --reader-options 'image={bioguide}.jpg' 'caption=an official portrait'

A portrait's caption names nobody: that a name was swapped could not be seen. So portraits are forged in the face alone.
Few photos of Flickr8k show a face that can be used, too few to learn from what belongs to what: so all its photos are
forged once more, for training. A photo's split follows from its file and the seed, and is the same in both sets.
"""

_base_ = './forged_photos.py'

data_root = 'data/forged/'
tokenizer = dict(type='WordTokenizer', name='starter::minilm', max_length=50)
picture_pipeline = [tokenizer, *_base_.train_pipeline[1:]]  # as face_traces.py is trained
test_pipeline = [tokenizer, *_base_.test_pipeline[1:]]
# Both image encoders are frozen, so that the features of training pictures are worked out once and kept.
features = dict(
    type='LoadImageFeatures', folder='work_dirs/forged_features', transforms=[_base_.test_pipeline[1], _base_.resize]
)
train_pipeline = [tokenizer, features, dict(type='PackManipulationInputs')]

# lazy_init: who asks a trained model needs no data.
of_set = dict(type='DGM4Dataset', lazy_init=True, **_base_.types)
flickr8k = dict(of_set, data_root=data_root + 'flickr8k/')
words = dict(of_set, data_root=data_root + 'flickr8k_words/')
portraits = dict(of_set, data_root=data_root + 'portraits/')
train = dict(ann_file='metadata/train.json', pipeline=train_pipeline)
val = dict(ann_file='metadata/val.json', pipeline=test_pipeline, test_mode=True)
test = dict(ann_file='metadata/test.json', pipeline=test_pipeline, test_mode=True)
train_dataloader = dict(
    batch_size=24,
    num_workers=1,
    pin_memory=False,
    sampler=dict(_delete_=True, type='PairSampler'),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(flickr8k, **train), dict(words, **train), dict(portraits, **train)],
    ),
)
val_dataloader = dict(
    num_workers=1,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[dict(flickr8k, **val), dict(portraits, **val)]),
)
test_dataloader = dict(
    num_workers=1,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[dict(flickr8k, **test), dict(portraits, **test)]),
)
custom_hooks = [dict(type='FeatureCacheHook', encoder='image_encoder')]
val_evaluator = dict(
    metrics=[
        dict(type='BinaryMetric'),
        dict(type='ManipulationTypeMetric', per_class=True),
        dict(type='BoxMetric', protocol='dgm4'),
        dict(type='TokenMetric'),
    ]
)
test_evaluator = val_evaluator
