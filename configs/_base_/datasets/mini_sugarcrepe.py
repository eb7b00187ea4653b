"""The mini set's captions and negatives in SugarCrepe's format."""

_base_ = './mini_captions.py'

# Filenames without their folder, as SugarCrepe has them.
sugarcrepe = dict(
    ann_file='sugarcrepe', data_prefix=dict(img_path='images'), reader=dict(_delete_=True, type='sugarcrepe')
)
val_dataloader = dict(dataset=sugarcrepe)
test_dataloader = dict(dataset=sugarcrepe)
val_evaluator = dict(metrics=[dict(type='PairwiseCaptionMetric', means='prefix')])
test_evaluator = val_evaluator
