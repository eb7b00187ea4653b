"""The paper's model on starter weights (requirements/starter.txt): the same neck and heads, EfficientNet-Lite0, MiniLM.

Pictures are read by two EfficientNet-Lite0 side by side: ImageNet's knows what there is to see, the other one was
taught where faces are blended (configs/forged/face_traces.py). Taught that, an encoder forgets what it knew, and left
as it is it sees no blending. Both are frozen, so that each picture is encoded once.
"""

grid = (7, 7)  # of 224 pixels
fine_level = 3  # stride 16 below 32: most faces of photos are smaller than a cell of 32 pixels, and so are the traces
trace_dims = 1280 + 4 * 112
dims = 384  # MiniLM's
lite0 = dict(type='TIMMImageEncoder', model_name='tf_efficientnet_lite0')
imagenet = dict(type='StarterWeights', name='efficientnet_lite0')
data_preprocessor = dict(type='VLDataPreprocessor', mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), channels_last=True)
traces = dict(type='PartPretrained', checkpoint='work_dirs/face_traces/epoch_6.pth', prefix='image_encoder')
encoders = [
    dict(lite0, frozen=True, init_cfg=imagenet),
    dict(lite0, frozen=True, fine_level=fine_level, init_cfg=traces),
]
model = dict(
    type='ManipulationDetector',
    data_preprocessor=data_preprocessor,
    # Unscaled the traces, ten times as long, soon drown what is to be seen, and words cannot be compared with it.
    image_encoder=dict(type='ConcatImageEncoder', encoders=encoders, scales=(1.0, 0.1)),
    text_encoder=dict(
        type='BertTextEncoder',
        embed_dims=dims,
        num_layers=6,
        num_heads=12,
        ffn_dims=1536,
        pooling='mean',
        init_cfg=dict(type='StarterWeights', name='minilm'),
    ),
    neck=dict(
        type='DCANeck',
        image_dims=1280 + trace_dims,
        text_dims=dims,
        embed_dims=dims,
        num_heads=6,
        ffn_dims=2 * dims,
        num_image_layers=2,
        num_text_layers=2,
        drop=0.1,
        attn_drop=0.0,
        image_grid=grid,
        # Most boxes are no larger than a cell. After 600 steps of boxes alone: IoU of faces in Flickr8k 17 with 0.2, 31
        # with 0.8; with 1.6 and a quieter caption 38.
        position_scale=1.6,
        image_cross_gain=0.3,
        # Where the paper's neck begins at METER's weights, this one begins at a ridge regression.
        init_cfg=dict(
            type='AlignedPretrained',
            checkpoint='work_dirs/forged_aligned/model.safetensors',
            compare=5.0,  # the mean of MiniLM's centred features is 4.9 long
        ),
    ),
    binary_head=dict(type='BinaryHead', in_dims=dims, hidden_dims=2 * dims),
    type_head=dict(type='DFCHead', in_dims=dims, hidden_dims=dims, num_image_types=2, loss_weight=2.0),
    box_head=dict(
        type='IMQBoxHead',
        in_dims=dims,
        hidden_dims=dims,
        num_heads=6,
        loss_weight=2.0,
        # The type head says whether there is a box; the box head learns from those there are, and from no others.
        supervise_empty='none',
        no_box_rule='type',
    ),
    token_head=dict(type='IMQTokenHead', in_dims=dims, num_heads=6, reduced_dims=dims, loss_weight=2.0),
)
