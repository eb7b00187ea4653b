"""The detector as a whole: invariances, precision, compilation and the paper's size."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmvlforge.models import ManipulationDetector, VLDataPreprocessor
from mmvlforge.registry import MODELS
from mmvlforge.structures import ManipulationTargets, VLDataSample, VLInputs

PAPER = Path(__file__).parents[2] / 'configs/dgm4/dca_imq.py'
DIMS = 32
CAPTIONS = (9, 4, 6)  # tokens, [CLS] and [SEP] included
BASELINE_HEADS = dict(type_head='MultiLabelHead', box_head='BoxHead', token_head='TokenMLPHead')
BFLOAT16_ERROR = 0.01


def tiny_config(**parts):
    """Every part of the paper's model in small, on pictures of 32 pixels."""
    config = dict(
        type='ManipulationDetector',
        image_encoder=dict(
            type='ViTImageEncoder',
            backbone=dict(
                type='mmpretrain.VisionTransformer',
                arch=dict(embed_dims=DIMS, num_layers=2, num_heads=4, feedforward_channels=48),
                img_size=32,
                patch_size=8,
                out_type='raw',
                pre_norm=True,
                layer_cfgs=dict(drop_path_rate=0.0),  # mmpretrain's own 0 is NumPy's, on which torch.compile stumbles
            ),
        ),
        text_encoder=dict(
            type='HFTextEncoder',
            config=dict(
                model_type='roberta',
                vocab_size=50,
                hidden_size=DIMS,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=48,
                max_position_embeddings=40,
                type_vocab_size=1,
            ),
        ),
        neck=dict(
            type='DCANeck',
            image_dims=DIMS,
            text_dims=DIMS,
            embed_dims=DIMS,
            num_heads=4,
            ffn_dims=48,
            num_image_layers=2,
            num_text_layers=2,
        ),
        binary_head=dict(type='BinaryHead', in_dims=DIMS, hidden_dims=DIMS),
        type_head=dict(type='DFCHead', in_dims=DIMS, hidden_dims=DIMS),
        box_head=dict(type='IMQBoxHead', in_dims=DIMS, hidden_dims=DIMS, num_heads=4),
        token_head=dict(type='IMQTokenHead', in_dims=DIMS, num_heads=4, reduced_dims=16),
    )
    return {**config, **parts}


def build(seed=0, std=0.12, **parts):
    """A detector whose weights are large enough for every path to show in its outputs."""
    model = MODELS.build(tiny_config(**parts))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=std, generator=generator)
    return model.eval()


def data_of(captions=CAPTIONS, words=True):
    """What the loader hands over: the first picture has a region, the first two captions manipulated words."""
    generator = torch.Generator().manual_seed(1)
    size = len(captions)
    masks = [torch.tensor([False] + [words] * (n - 2) + [False]) for n in captions]
    labels = [torch.randint(0, 2, (n,), generator=generator).masked_fill(~m, -100) for n, m in zip(captions, masks)]
    has_box = [torch.tensor(k == 0) for k in range(size)]
    region = torch.tensor([0.4, 0.5, 0.2, 0.3])
    return dict(
        inputs=dict(
            image=[torch.randint(0, 256, (3, 32, 32), generator=generator).to(torch.uint8) for _ in captions],
            input_ids=[torch.randint(2, 50, (n,), generator=generator) for n in captions],
            word_mask=masks,
        ),
        targets=dict(
            fake=[torch.tensor(int(k < 2)) for k in range(size)],
            image_type=[torch.tensor(int(k == 0)) for k in range(size)],
            text_type=[torch.tensor(2 * int(k == 1)) for k in range(size)],
            box=[region * h for h in has_box],
            has_box=has_box,
            tokens=labels,
        ),
        data_samples=[VLDataSample(metainfo=dict(index=k, ori_shape=(60, 80))) for k in range(size)],
    )


def row_of(data, k):
    """The same data, one sample alone."""
    parts = {part: {name: rows[k : k + 1] for name, rows in data[part].items()} for part in ('inputs', 'targets')}
    return dict(parts, data_samples=data['data_samples'][k : k + 1])


def predictions(model, data):
    """All outputs of the first pass over ``data``, one dict of tensors a sample."""
    with torch.no_grad():
        samples = model.test_step(data)
    return [
        dict(
            fake=torch.tensor(s.pred_fake_score),
            types=s.pred_type_scores,
            box=s.pred_box,
            tokens=s.pred_token_scores,
            labels=s.pred_tokens,
        )
        for s in samples
    ]


def losses_of(model, data):
    return model(**model.data_preprocessor(data), mode='loss')


def pad_to(model, multiple):
    model.data_preprocessor = VLDataPreprocessor(pad_to_multiple_of=multiple)


# Invariances ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('text_model', ['roberta', 'bert'])
@pytest.mark.parametrize('head_types', [{}, BASELINE_HEADS], ids=['paper', 'baseline'])
def test_longer_padding_changes_nothing(text_model, head_types):
    parts = {name: dict(type=head, in_dims=DIMS, hidden_dims=DIMS) for name, head in head_types.items()}
    text_encoder = tiny_config()['text_encoder']
    text_encoder['config']['model_type'] = text_model
    model = build(text_encoder=text_encoder, **parts)
    with torch.no_grad():
        expected, expected_losses = predictions(model, data_of()), losses_of(model, data_of())
        pad_to(model, 32)
        assert model.data_preprocessor(data_of())['inputs'].input_ids.shape == (3, 32)
        torch.testing.assert_close(predictions(model, data_of()), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(losses_of(model, data_of()), expected_losses, atol=1e-5, rtol=0)
        # The same comparison does see one changed word.
        changed = data_of()
        changed['inputs']['input_ids'][1][2] += 1
        differences = [(a['fake'] - b['fake']).abs().item() for a, b in zip(predictions(model, changed), expected)]
        assert differences[1] > 1e-4 and differences[0] < 1e-5 and differences[2] < 1e-5


def test_longer_padding_changes_no_gradient():
    model = build()
    gradients = []
    for multiple in (1, 32):
        pad_to(model, multiple)
        model.zero_grad()
        sum(losses_of(model, data_of()).values()).backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


def test_a_sample_alone_is_as_in_a_batch():
    model = build()
    together = predictions(model, data_of())
    alone = [predictions(model, row_of(data_of(), k))[0] for k in range(3)]
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    assert (together[0]['fake'] - together[1]['fake']).abs() > 1e-3  # samples do differ


def test_predictions_have_the_shapes_of_the_labels():
    for n, outputs in zip(CAPTIONS, predictions(build(), data_of())):
        assert outputs['types'].shape == (4,) and outputs['box'].shape == (4,)
        assert outputs['tokens'].shape == outputs['labels'].shape == (n - 2,)
        assert torch.equal(outputs['labels'], (outputs['tokens'] > 0.5).long())
        assert 0 < outputs['fake'] < 1


def test_image_only_detector_is_blind_to_the_caption():
    model = build(text_encoder=dict(type='NullTextEncoder', embed_dims=DIMS))
    data, other = data_of(), data_of((20, 5, 3))
    other['inputs']['image'] = data['inputs']['image']
    for ours, theirs in zip(predictions(model, data), predictions(model, other)):
        for name in ('fake', 'types', 'box'):
            torch.testing.assert_close(ours[name], theirs[name], atol=1e-5, rtol=0)
        assert ours['tokens'].std() < 1e-6  # nothing tells one token from another


def test_text_only_detector_is_blind_to_the_picture_and_needs_none():
    model = build(image_encoder=dict(type='NullImageEncoder', embed_dims=DIMS), box_head=None)
    data, other = data_of(), data_of()
    del other['inputs']['image']
    with torch.no_grad():
        seen, unseen = model.test_step(data), model.test_step(other)
        losses = losses_of(model, other)
    for ours, theirs in zip(seen, unseen):
        assert ours.pred_fake_score == theirs.pred_fake_score and not hasattr(theirs, 'pred_box')
        assert torch.equal(ours.pred_type_scores, theirs.pred_type_scores)
    assert not any('box' in name for name in losses)


# Training ------------------------------------------------------------------------------------------------------------


def test_losses_and_gradients_of_an_ordinary_batch():
    model = build().train()
    losses = losses_of(model, data_of())
    assert list(losses) == [
        'loss_binary', 'loss_image_type', 'loss_text_type', 'loss_box_l1', 'loss_box_giou', 'loss_token',
    ]  # fmt: skip
    assert all(loss.dtype == torch.float32 and loss.shape == () and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    # Without a gradient DistributedDataParallel would stop.
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('missing', ['words', 'regions', 'both'])
def test_batch_without_words_or_regions_has_finite_losses_and_gradients(missing):
    model = build().train()
    data = data_of((2, 2, 2) if missing != 'regions' else CAPTIONS)  # [CLS] and [SEP] only
    if missing != 'words':
        data['targets']['box'] = [torch.zeros(4)] * 3
        data['targets']['has_box'] = [torch.tensor(False)] * 3
    losses = losses_of(model, data)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert (losses['loss_token'] == 0) == (missing != 'regions')
    assert losses['loss_box_giou'] > 0  # pictures without a region are taught the zero box
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_bfloat16_forward_is_near_float32():
    model = build()
    batch = model.data_preprocessor(data_of())
    with torch.no_grad():
        full, full_losses = model(**batch), model(**batch, mode='loss')
        with torch.autocast('cpu', torch.bfloat16):
            half, half_losses = model(**batch), model(**batch, mode='loss')
    for name in ('image_cls', 'image_patches', 'text_cls', 'text_tokens'):  # layer norms make these of size 1
        difference = (getattr(half, name).float() - getattr(full, name)).abs()
        assert difference.mean() < BFLOAT16_ERROR, name
    for name, loss in half_losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, full_losses[name], atol=BFLOAT16_ERROR, rtol=0)


def test_loss_compiles_as_one_graph():
    # Encoders included: one graph cannot hold .item() or a branch on a value, which would make the host wait.
    model = build()
    batch = model.data_preprocessor(data_of())
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend='eager')
    with torch.no_grad():
        expected = model(batch['inputs'], batch['targets'], mode='loss')
        actual = compiled(batch['inputs'], batch['targets'], mode='loss')
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


# The paper's model ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def paper_model():
    """configs/dgm4/dca_imq.py without memory: tensors on the meta device have shapes and no values."""
    config = Config.fromfile(PAPER).model
    with torch.device('meta'):
        return MODELS.build(config)


def meta_batch():
    def of(dtype, *shape):
        return torch.zeros(shape, dtype=dtype, device='meta')

    inputs = VLInputs(of(torch.float32, 2, 3, 256, 256), of(torch.int64, 2, 50), *(of(torch.bool, 2, 50),) * 2)
    labels = of(torch.int64, 2)
    targets = ManipulationTargets(
        labels, labels, labels, of(torch.float32, 2, 4), of(torch.bool, 2), of(torch.int64, 2, 50)
    )
    return inputs, targets


def test_paper_has_328_million_parameters(paper_model):
    assert all(p.is_meta for p in paper_model.parameters())
    millions = sum(p.numel() for p in paper_model.parameters()) / 1e6
    assert millions == pytest.approx(328, rel=0.01)


def test_paper_settings_reach_the_model(paper_model):
    vit, neck = paper_model.image_encoder.backbone, paper_model.neck
    assert len(vit.layers) == 11 and vit.pos_embed.shape == (1, 257, 768)
    # A NumPy float would break torch.compile's graph.
    assert all(type(layer.attn.out_drop.drop_prob) is float for layer in vit.layers)
    assert {type(layer.ffn.layers[0][1]).__name__ for layer in vit.layers} == {'QuickGELU'}
    assert len(paper_model.text_encoder.model.encoder.layer) == 12
    assert len(neck.image_layers) == len(neck.text_layers) == 6
    for layer in [*neck.image_layers, *neck.text_layers]:
        assert layer.self_attn.num_heads == layer.cross_attn.num_heads == 12
        assert layer.fc1.out_features == 3072 and layer.drop.p == 0.1 and layer.self_norm.eps == 1e-12
    weights = {type(head).__name__: head.loss_weight for head in paper_model.heads}
    assert weights == dict(BinaryHead=1.0, DFCHead=1.0, IMQBoxHead=0.1, IMQTokenHead=1.0)


@pytest.mark.parametrize('training', [True, False])
def test_loss_step_never_makes_the_host_wait(paper_model, training):
    # Meta tensors have no values: .item(), a branch on a value or a selection by a mask raises there. Each of these
    # would make the host wait for an accelerator.
    paper_model.train(training)
    losses = paper_model(*meta_batch(), mode='loss')
    sum(losses.values()).backward()
    assert len(losses) == 6


def test_a_wait_would_be_noticed():
    tensor = torch.zeros(3, device='meta')
    with pytest.raises((RuntimeError, NotImplementedError)):
        tensor.sum().item()
    with pytest.raises((RuntimeError, NotImplementedError)):
        tensor[tensor > 0]


# Interface -----------------------------------------------------------------------------------------------------------


def test_modes():
    model = build()
    batch = model.data_preprocessor(data_of())
    features = model(**batch)
    assert features.image_patches.shape == (3, 16, DIMS) and features.text_tokens.shape == (3, 8, DIMS)
    assert model(**batch, mode='predict') is batch['data_samples']
    with pytest.raises(ValueError, match="mode must be 'loss', 'predict' or 'tensor', got 'train'"):
        model(**batch, mode='train')
    with pytest.raises(ValueError, match="'predict' data_samples"):
        model(batch['inputs'], mode='predict')


def test_data_preprocessor_is_built_without_a_default_scope():
    assert isinstance(build().data_preprocessor, VLDataPreprocessor)
    model = build(data_preprocessor=dict(type='VLDataPreprocessor', pad_to_multiple_of=8))
    assert isinstance(model, ManipulationDetector) and model.data_preprocessor.pad_to_multiple_of == 8


def test_training_lowers_the_loss():
    model = build(std=0.05).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    torch.manual_seed(0)
    totals = []
    for _ in range(20):
        losses = losses_of(model, data_of())
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.6 * totals[0]
