"""SugarCrepe's accuracy of the model that vilem_starter.py trained. Other rows: --cfg-options as their configs say.

python tools/test.py configs/flickr8k/vilem_starter_sugarcrepe.py work_dirs/vilem_starter/epoch_3.pth
"""

_base_ = './vilem_starter.py'
model = dict(proofread_seed=None)
test_dataloader = dict(
    dataset=dict(
        data_root='data/sugarcrepe/',
        ann_file='data',  # its seven files
        data_prefix=dict(img_path='val2017'),  # of COCO
        reader=dict(_delete_=True, type='sugarcrepe'),
    )
)
test_evaluator = dict(_delete_=True, type='Evaluator', metrics=[dict(type='PairwiseCaptionMetric', means='prefix')])
