"""Table 7, E: the global feature beside the patches, on Flickr8k.

python tools/train.py configs/flickr8k/vilem_starter_table7_e.py --amp
"""

_base_ = './vilem_starter.py'
model = dict(local_path=dict(_delete_=True, type='UnifiedPath', loss_weight=1.0), global_path=None)
