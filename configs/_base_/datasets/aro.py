"""ARO: relations in regions of Visual Genome, the two things exchanged."""

_base_ = './retrieval_256.py'

data_root = 'data/aro/'  # visual_genome_relation.json, and images/ of Visual Genome
aro = dict(
    data_root=data_root,
    ann_file='visual_genome_relation.json',
    data_prefix=dict(img_path='images'),
    reader=dict(_delete_=True, type='aro'),
)
val_dataloader = dict(dataset=aro)
test_dataloader = dict(dataset=aro)
val_evaluator = dict(metrics=[dict(type='PairwiseCaptionMetric', means='macro')])
test_evaluator = val_evaluator
