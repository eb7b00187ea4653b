"""A masked language model on MiniLM, its head new, trained on Flickr8k's captions in minutes. It edits for ViLEM.

python tools/train.py configs/flickr8k/minilm_mlm.py --amp
writes work_dirs/minilm_mlm/hf
"""

_base_ = ['../_base_/default_runtime.py']

data_root = 'data/flickr8k/'
tokenizer = dict(type='CaptionTokenizer', name='starter::minilm', max_length=50)
model = dict(
    type='MaskedLanguageModel',
    config=dict(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=512,
    ),
    corruptor=dict(type='TextCorruptor', name=tokenizer['name'], mode='masked'),
    init_cfg=dict(type='StarterWeights', name='minilm'),
)
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='mmvlforge.vl_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CaptionDataset',
        data_root=data_root,
        ann_file='captions.csv',
        reader=dict(type='csv', images='train.txt'),
        pipeline=[
            dict(type='CleanCaptions', max_words=30),
            tokenizer,
            dict(type='PackCaptionInputs'),
        ],
    ),
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)
custom_hooks = [dict(type='HFExportHook')]
