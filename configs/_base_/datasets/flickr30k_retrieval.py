"""Flickr30K with Karpathy's splits at 384 pixels: fine-tuning on 29,000 images, recall on 1,000 (5,000 captions)."""

_base_ = './coco_retrieval.py'

data_root = 'data/flickr30k/'  # dataset_flickr30k.json and flickr30k-images/
ann_file = 'dataset_flickr30k.json'
images = dict(img_path='flickr30k-images')

train_dataloader = dict(dataset=dict(data_root=data_root, ann_file=ann_file, data_prefix=images))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file=ann_file, data_prefix=images))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file=ann_file, data_prefix=images))
