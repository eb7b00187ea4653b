"""ARO: attributes of two things in regions of Visual Genome, exchanged."""

_base_ = './retrieval_256.py'

data_root = 'data/aro/'  # visual_genome_attribution.json, and images/ of Visual Genome
aro = dict(
    data_root=data_root,
    ann_file='visual_genome_attribution.json',
    data_prefix=dict(img_path='images'),
    reader=dict(_delete_=True, type='aro'),
)
val_dataloader = dict(dataset=aro)
test_dataloader = dict(dataset=aro)
# As published: pairs of attributes with fewer than 25 samples do not count.
val_evaluator = dict(metrics=[dict(type='PairwiseCaptionMetric', means='macro', min_samples=25)])
test_evaluator = val_evaluator
