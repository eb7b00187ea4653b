"""BERT-base (lower-casing) as text encoder.

bash tools/dist_train.sh configs/dgm4/dca_imq_bert.py 8
"""

_base_ = './dca_imq.py'
tokenizer = dict(type='WordTokenizer', name='bert-base-uncased', max_length=50)
train_pipeline = [tokenizer, *_base_.train_pipeline[1:]]
test_pipeline = [tokenizer, *_base_.test_pipeline[1:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
model = dict(text_encoder=dict(config=dict(_delete_=True, model_type='bert', vocab_size=30522)))
# METER's text encoder is RoBERTa: convert its checkpoint with this config and BERT keeps its own weights.
load_from = 'checkpoints/meter_dca_bert.pth'
