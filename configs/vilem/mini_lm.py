"""A tiny masked language model of the mini set's captions, about a minute on a CPU. It edits them in ViLEM's training.

python tools/train.py configs/vilem/mini_lm.py
writes work_dirs/mini_lm/hf
"""

_base_ = ['../_base_/default_runtime.py']

data_root = 'data/mini_captions/'
tokenizer = data_root + 'tokenizer'
model = dict(
    type='MaskedLanguageModel',
    config=dict(
        vocab_size=66,  # of the mini set's tokenizer
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,  # one pass over the captions cannot overfit
        attention_probs_dropout_prob=0.0,
    ),
    corruptor=dict(type='TextCorruptor', name=tokenizer, mode='masked'),
)
train_dataloader = dict(
    batch_size=256,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CaptionDataset',
        data_root=data_root,
        ann_file='dataset_mini.json',
        reader=dict(type='karpathy', split='train'),
        pipeline=[
            dict(type='CaptionTokenizer', name=tokenizer, max_length=32),
            dict(type='PackCaptionInputs'),
        ],
    ),
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
custom_hooks = [dict(type='HFExportHook')]
