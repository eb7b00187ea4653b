"""BERT-base (lower-casing) as text encoder: everything else starts from METER, whose own is RoBERTa.

mmvlforge weights convert-meter METER.ckpt checkpoints/meter_dca_bert.pth --config dgm4/dca_imq_bert
bash tools/dist_train.sh configs/dgm4/dca_imq_bert.py 8
"""

_base_ = './dca_imq.py'
bert = 'checkpoints/bert-base-uncased'  # a Hugging Face folder: tokenizer and weights
tokenizer = dict(type='WordTokenizer', name=bert, max_length=50)
train_pipeline = [tokenizer, *_base_.train_pipeline[1:]]
test_pipeline = [tokenizer, *_base_.test_pipeline[1:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
model = dict(
    text_encoder=dict(
        config=dict(_delete_=True, model_type='bert', vocab_size=30522),
        init_cfg=dict(type='HFPretrained', folder=bert),  # load_from comes after it and holds no text encoder
    )
)
load_from = 'checkpoints/meter_dca_bert.pth'
