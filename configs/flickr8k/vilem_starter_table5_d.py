"""Table 5, D: both with local features, on Flickr8k.

python tools/train.py configs/flickr8k/vilem_starter_table5_d.py --amp
"""

_base_ = './vilem_starter.py'
model = dict(global_path=None)
