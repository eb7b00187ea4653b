"""Table 7, F: random words in place of the edits, on Flickr8k.

python tools/train.py configs/flickr8k/vilem_starter_table7_f.py --amp
"""

_base_ = './vilem_starter.py'
model = dict(corruptor=dict(mode='random'))
