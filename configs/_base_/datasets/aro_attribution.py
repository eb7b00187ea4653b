"""ARO: attributes of two things in regions of Visual Genome, exchanged."""

_base_ = './aro.py'

attribution = dict(ann_file='visual_genome_attribution.json')
val_dataloader = dict(dataset=attribution)
test_dataloader = dict(dataset=attribution)
# As published: pairs of attributes with fewer than 25 samples do not count.
val_evaluator = dict(metrics=[dict(type='PairwiseCaptionMetric', means='macro', min_samples=25)])
test_evaluator = val_evaluator
