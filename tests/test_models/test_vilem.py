"""The dual encoder and ViLEM as a whole."""

import pytest
import torch
from edits import EveryOtherWord
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmvlforge.apis.loading import check_fit
from mmvlforge.models.paths import GlobalPath, HighestLevelPath, LocalPath, UnifiedPath
from mmvlforge.registry import MODELS
from mmvlforge.structures import CaptionTargets, ImageFeatures, VLDataSample, VLInputs

DIMS, WORDS = 32, 50
LENGTHS = (9, 4, 6)  # tokens, [CLS] and [SEP] included
BFLOAT16_ERROR = 0.03  # of losses around 3
PARTS = ['align', 'local_detection', 'local_correction', 'global_detection', 'global_correction']


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmvlforge')


def tiny_dual(**parts):
    """The contrastive baseline in small, on pictures of 32 pixels."""
    config = dict(
        type='DualEncoder',
        image_encoder=dict(
            type='MultiLevelViT',
            backbone=dict(
                type='mmpretrain.VisionTransformer',
                arch=dict(embed_dims=DIMS, num_layers=4, num_heads=4, feedforward_channels=48),
                img_size=32,
                patch_size=8,
                out_indices=tuple(range(4)),
                out_type='raw',
                layer_cfgs=dict(drop_path_rate=0.0),
            ),
        ),
        text_encoder=dict(
            type='BertTextEncoder',
            vocab_size=WORDS,
            embed_dims=DIMS,
            num_layers=3,
            num_heads=4,
            ffn_dims=48,
            max_length=40,
            drop=0.1,
        ),
        contrastive_head=dict(type='ContrastiveHead', embed_dims=16, queue_size=10),
        image_dims=DIMS,
        text_dims=DIMS,
        embed_dims=16,
        momentum=0.9,
    )
    return {**config, **parts}


def tiny_vilem(**parts):
    """The paper's model in small."""
    text_encoder = dict(tiny_dual()['text_encoder'], num_cross_layers=2)
    config = tiny_dual(
        type='ViLEM',
        text_encoder=text_encoder,
        corruptor=dict(type='EveryOtherWord'),
        local_path=dict(type='LocalPath'),
        global_path=dict(type='GlobalPath'),
        detection_head=dict(type='ErrorDetectionHead', in_dims=DIMS),
        correction_head=dict(type='ErrorCorrectionHead', in_dims=DIMS, vocab_size=WORDS),
        num_edit_layers=2,
    )
    return {**config, **parts}


def build(config, seed=0):
    torch.manual_seed(seed)
    model = MODELS.build(config)
    model.init_weights()
    return model


def batch_of(lengths=LENGTHS, seed=1):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    word_mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None] - 1
    word_mask[:, 0] = False
    ids = torch.randint(5, WORDS, mask.shape, generator=generator).masked_fill(~mask, 0)
    images = torch.randn(len(lengths), 3, 32, 32, generator=generator)
    return VLInputs(images, ids, mask, word_mask), CaptionTargets(torch.arange(len(lengths)))


def losses_of(model, batch=None, seed=5):
    torch.manual_seed(seed)
    return model(*(batch or batch_of()), mode='loss')


# How the text encoder sees the picture -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'layers, blocks',
    [
        (4, [1, 4, 7, 10]),
        (6, [1, 3, 5, 7, 9, 11]),
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (10, list(range(1, 11))),
        (12, list(range(1, 13))),
    ],
)
def test_layers_read_the_blocks_of_equation_11(layers, blocks):
    image = ImageFeatures(torch.full((1, 2), 50.0), tuple(torch.full((1, 3, 2), 1.0 + k) for k in range(12)))
    assert [int(m[0, 0, 0]) for m in LocalPath()(image, layers)['memory']] == blocks
    assert [int(m[0, 0, 0]) for m in HighestLevelPath()(image, layers)['memory']] == [12] * layers
    unified = UnifiedPath()(image, layers)['memory']
    assert [m[0, :, 0].tolist() for m in unified] == [[50.0, b, b, b] for b in blocks]
    assert GlobalPath()(image, layers) == dict(shift=image.cls)


def test_more_text_layers_than_levels_or_layers_are_refused():
    image = ImageFeatures(torch.zeros(1, 2), tuple(torch.zeros(1, 3, 2) for _ in range(4)))
    with pytest.raises(ValueError, match='num_edit_layers 5 must be at most the 4 levels of the picture'):
        LocalPath()(image, 5)
    with pytest.raises(ValueError, match='asked to stop after layer 4 of 3'):
        losses_of(build(tiny_vilem(num_edit_layers=4, local_path=None)))


def test_levels_of_the_vit_are_its_blocks():
    encoder = build(tiny_dual()).image_encoder.eval()
    inputs, _ = batch_of()
    with torch.no_grad():
        image = encoder(inputs)
        net = encoder.backbone
        x = torch.cat([net.cls_token.expand(3, -1, -1), net.patch_embed(inputs.images)[0]], dim=1) + net.pos_embed
        for level, layer in zip(image.levels, net.layers):
            x = layer(x)
            expected = net.ln1(x) if layer is net.layers[-1] else x
            torch.testing.assert_close(level, expected[:, 1:], atol=1e-5, rtol=0)
        torch.testing.assert_close(image.cls, net.ln1(x)[:, 0], atol=1e-5, rtol=0)
    assert len(image.levels) == 4 and image.levels[0].shape == (3, 16, DIMS)


def test_levels_of_the_hybrid_encoder_are_its_layers():
    stem = dict(type='ConvImageEncoder', embed_dims=DIMS, num_patches=16, channels=(8, 16), strides=(4, 2))
    config = dict(type='HybridImageEncoder', stem=stem, embed_dims=DIMS, num_layers=3, num_heads=4, ffn_dims=48)
    encoder = MODELS.build(config).eval()
    inputs, _ = batch_of()
    with torch.no_grad():
        image, x = encoder(inputs), encoder.stem(inputs)
        for level, layer in zip(image.levels, encoder.layers):
            x = layer(x)
            assert torch.equal(level, x[:, 1:])
        assert torch.equal(image.cls, x[:, 0]) and len(image.levels) == 3


def test_a_hybrid_encoder_that_skips_begins_at_its_stem_and_learns_more():
    stem = dict(type='ConvImageEncoder', embed_dims=24, num_patches=16, channels=(8, 16), strides=(4, 2))
    config = dict(type='HybridImageEncoder', stem=stem, stem_dims=24, num_layers=2, num_heads=4, ffn_dims=48)
    encoder = MODELS.build(dict(config, embed_dims=DIMS, skip=True)).eval()
    inputs, _ = batch_of()
    cls, levels = encoder(inputs)
    assert torch.equal(cls, encoder.stem_proj(encoder.stem(inputs))[:, 0])
    cls.square().sum().backward()
    assert encoder.skip_proj.weight.grad.abs().sum() > 0
    with torch.no_grad():
        encoder.skip_proj.weight.copy_(torch.eye(DIMS))
    whole = MODELS.build(dict(config, embed_dims=DIMS)).eval()
    whole.load_state_dict(encoder.state_dict(), strict=False)
    torch.testing.assert_close(encoder(inputs).cls - cls, whole(inputs).cls)


# Losses --------------------------------------------------------------------------------------------------------------


def test_losses_of_an_ordinary_batch():
    losses = losses_of(build(tiny_vilem()).train())
    assert list(losses) == [f'loss_{part}' for part in PARTS]
    assert all(loss.dtype == torch.float32 and loss.shape == () and loss > 0 for loss in losses.values())


@pytest.mark.parametrize(
    'left_out, left',
    [
        (['global_path', 'correction_head'], ['align', 'local_detection']),  # Table 5, B
        (['global_path', 'detection_head'], ['align', 'local_correction']),
        (['local_path'], ['align', 'global_detection', 'global_correction']),
        (['local_path', 'global_path', 'detection_head', 'correction_head'], ['align']),
    ],
)
def test_parts_can_be_left_out(left_out, left):
    config = tiny_vilem(**dict.fromkeys(left_out))
    if 'local_path' in left_out:
        config['text_encoder']['num_cross_layers'] = 0
    model = build(config).train()
    losses = losses_of(model)
    assert list(losses) == [f'loss_{part}' for part in left]
    sum(losses.values()).backward()
    # Without a gradient DistributedDataParallel would stop.
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_weights_of_equation_13():
    plain = losses_of(
        build(
            tiny_vilem(
                local_path=dict(type='LocalPath', loss_weight=1), global_path=dict(type='GlobalPath', loss_weight=1)
            )
        )
    )
    for name, loss in losses_of(build(tiny_vilem())).items():
        weight = 0.8 if 'local' in name else 0.2 if 'global' in name else 1.0
        torch.testing.assert_close(loss, weight * plain[name])


def test_alignment_is_that_of_the_plain_dual_encoder():
    model, plain = build(tiny_vilem()).eval(), build(tiny_dual()).eval()
    missing, extra = plain.load_state_dict(model.state_dict(), strict=False)
    assert not missing and all('cross_' in n or n.startswith(('detection', 'correction')) for n in extra)
    for seed in range(3):
        ours, theirs = (losses_of(m, batch_of(seed=seed))['loss_align'] for m in (model, plain))
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize('skip_unedited', [False, True])
def test_losses_without_edits(skip_unedited):
    head = dict(type='ErrorDetectionHead', in_dims=DIMS, skip_unedited=skip_unedited)
    model = build(tiny_vilem(corruptor=dict(type='EveryOtherWord', edit=False), detection_head=head)).train()
    losses = losses_of(model)
    assert losses['loss_align'] > 0
    for path in ('local', 'global'):
        assert losses[f'loss_{path}_correction'] == 0
        assert (losses[f'loss_{path}_detection'] == 0) == skip_unedited
    sum(losses.values()).backward()
    assert all(p.grad.any() != skip_unedited for p in model.detection_head.parameters())
    assert all(not p.grad.any() for p in model.correction_head.parameters())
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_every_edit_must_find_room_in_the_correction_head():
    config = tiny_vilem(corruptor=dict(type='TextCorruptor', name='nowhere', max_edits=9))
    with pytest.raises(ValueError, match='corruptor.max_edits 9 .*, which is 8'):
        MODELS.build(config)
    config['correction_head']['max_edits'] = 9
    MODELS.build(config)


def test_each_path_needs_its_part_of_the_picture():
    model = build(tiny_vilem()).eval()
    inputs, _ = batch_of()
    image = model.image_encoder(inputs)
    with torch.no_grad():
        local, whole = (model.read(name, image, inputs) for name in ('local', 'global'))
        other_cls = image._replace(cls=image.cls.flip(0))
        other_patches = image._replace(levels=tuple(level.flip(0) for level in image.levels))
        assert torch.equal(model.read('local', other_cls, inputs), local)
        assert not torch.allclose(model.read('local', other_patches, inputs), local, atol=1e-3)
        assert torch.equal(model.read('global', other_patches, inputs), whole)
        assert not torch.allclose(model.read('global', other_cls, inputs), whole, atol=1e-3)


def test_edited_captions_as_negatives():
    config = tiny_dual(type='EditedTextContrast', corruptor=dict(type='EveryOtherWord'))
    with_edits, without = build(config), build(dict(config, corruptor=dict(type='EveryOtherWord', edit=False)))
    plain = build(tiny_dual())
    losses = [losses_of(m.eval())['loss_align'] for m in (with_edits, without, plain)]
    torch.testing.assert_close(losses[1], losses[2])
    assert losses[0] > losses[2] + 1e-3
    losses[0].backward()
    assert [n for n, p in with_edits.named_parameters() if p.requires_grad and p.grad is None] == []


# Momentum ------------------------------------------------------------------------------------------------------------


def test_momentum_encoders_begin_equal_and_follow_in_the_loss():
    model = build(tiny_vilem()).train()
    for name, value in model.momentum.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    with torch.no_grad():
        model.text_proj.weight.add_(1)
    losses_of(model)
    torch.testing.assert_close(model.text_proj.weight - model.momentum.text_proj.weight, torch.full((16, DIMS), 0.9))


def test_momentum_text_encoder_has_no_cross_attention():
    """No key is made with one."""
    model = build(tiny_vilem()).train()
    names = set(model.momentum.text_encoder.state_dict())
    assert names == {name for name in model.text_encoder.state_dict() if '.cross_' not in name}
    assert len(names) == len(model.text_encoder.state_dict()) - 2 * 10
    assert model.text_encoder.num_cross_layers == 2 and model.text_encoder.layers[0].cross_attn is not None
    before = model.momentum.text_encoder.state_dict()['layers.2.fc1.weight'].clone()
    with torch.no_grad():
        for parameter in model.text_encoder.parameters():
            parameter.add_(torch.rand_like(parameter))
    losses_of(model)
    expected = 0.9 * before + 0.1 * model.text_encoder.layers[2].fc1.weight
    torch.testing.assert_close(model.momentum.text_encoder.layers[2].fc1.weight, expected)


@pytest.mark.parametrize('load', [nn.Module.load_state_dict, load_state_dict])
def test_cross_attention_of_an_older_momentum_encoder_is_left_out(load):
    source, model = build(tiny_vilem(), seed=3), build(tiny_vilem(momentum_features=True))
    old = source.state_dict()
    cross = {f'momentum.{name}': value for name, value in old.items() if '.cross_' in name}
    old.update(cross)
    load(model, old, strict=True)
    assert len(cross) == 20
    new = model.state_dict()
    assert not cross.keys() & new.keys() and all(torch.equal(value, old[name]) for name, value in new.items())
    inputs, _ = batch_of()
    torch.testing.assert_close(model.eval()(inputs), source.eval().extract_feat(inputs, momentum=True))
    check_fit(new, old, 'old.pth', 'config.py')
    # Nothing else is let pass, and a model that has such a weight needs it.
    with pytest.raises(RuntimeError, match='momentum.text_encoder.layers.0.cross_other.weight'):
        load(model, {**new, 'momentum.text_encoder.layers.0.cross_other.weight': new['text_proj.bias']}, strict=True)
    with pytest.raises(ValueError, match='1 unexpected: text_encoder.layers.2.cross_attn.x'):
        check_fit(new, {**new, 'text_encoder.layers.2.cross_attn.x': new['text_proj.bias']}, 'old.pth', 'config.py')


def test_accumulated_gradients_move_the_momentum_encoders_once_a_step():
    model = build(tiny_dual()).train()
    optimiser = dict(type='SGD', lr=0.1)
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=optimiser, accumulative_counts=2))
    seen = []
    for _ in range(6):
        loss = losses_of(model)['loss_align']
        seen.append(model.momentum.text_proj.weight.clone())
        wrapper.update_params(loss)
    moved = [not torch.equal(a, b) for a, b in zip(seen, seen[1:])]
    assert moved == [False, True, False, True, False]
    assert model.contrastive_head.next_key == 18 % 10  # every batch enters the queues


# Prediction ----------------------------------------------------------------------------------------------------------


def group_of(images, captions):
    return VLDataSample(metainfo=dict(num_images=images, num_captions=captions))


@pytest.mark.parametrize('momentum_features', [False, True])
def test_predict_gives_each_group_its_pictures_and_captions(momentum_features):
    model = build(tiny_vilem(momentum_features=momentum_features)).eval()
    with torch.no_grad():
        model.momentum.image_proj.bias.add_(1)
        model.momentum.text_proj.bias.add_(1)
    inputs, _ = batch_of((9, 4, 6, 5, 8))
    inputs = inputs._replace(images=inputs.images[:4])
    groups = [group_of(1, 3), group_of(2, 0), group_of(1, 2)]
    with torch.no_grad():
        assert model(inputs, data_samples=groups, mode='predict') is groups
        net = model.momentum if momentum_features else model
        images = nn.functional.normalize(net.image_proj(net.image_encoder(inputs).cls), dim=1)
        texts = nn.functional.normalize(net.text_proj(net.text_encoder(inputs)[:, 0]), dim=1)
        torch.testing.assert_close(model(inputs), (images, texts))
    assert [len(s.pred_image_feats) for s in groups] == [1, 2, 1] and [len(s.pred_text_feats) for s in groups] == [
        3,
        0,
        2,
    ]
    torch.testing.assert_close(torch.cat([s.pred_image_feats for s in groups]), images)
    torch.testing.assert_close(torch.cat([s.pred_text_feats for s in groups]), texts)
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(5))


def test_a_model_that_only_retrieves_has_no_momentum_encoders():
    full, slim = build(tiny_dual()).eval(), build(tiny_dual(contrastive_head=None)).eval()
    slim.load_state_dict(full.state_dict(), strict=False)
    assert {n.split('.')[0] for n in slim.state_dict()} == {'image_encoder', 'text_encoder', 'image_proj', 'text_proj'}
    inputs, _ = batch_of()
    torch.testing.assert_close(slim(inputs), full(inputs))
    with pytest.raises(ValueError, match='without contrastive_head only retrieves'):
        losses_of(slim)


def test_proofreading_ranks_candidates_for_each_token():
    model = build(tiny_vilem()).eval()
    inputs, _ = batch_of()
    results = model.proofread(inputs, topk=4)
    assert list(results) == ['local', 'global']
    tokens = model.read('local', model.image_encoder(inputs), inputs)
    words = model.correction_head(tokens, model.text_encoder.word_logits).softmax(dim=-1)
    reading = results['local']
    torch.testing.assert_close(reading.wrong, model.detection_head(tokens).softmax(dim=-1)[..., 0])
    torch.testing.assert_close(reading.scores, words.gather(2, reading.candidates))
    assert reading.candidates.shape == (3, 9, 4) and torch.equal(reading.candidates[..., 0], words.argmax(dim=-1))


@MODELS.register_module()
class EveryOtherLongWord(EveryOtherWord):
    """Spares words of small ids."""

    def editable(self, inputs):
        return inputs.word_mask & (inputs.input_ids >= WORDS // 2)


def test_examination_tells_where_an_edit_could_have_been():
    model = build(tiny_vilem(proofread_seed=0, corruptor=dict(type='EveryOtherLongWord')))
    inputs, _ = batch_of()
    (exam,) = examine(model, inputs, groups((3,)))
    assert torch.equal(exam.editable, inputs.input_ids[inputs.word_mask] >= WORDS // 2) and exam.editable.any()


@MODELS.register_module()
class RandomWord(EveryOtherWord):
    """Replaces every other word by a random one."""

    def forward(self, inputs):
        edited = super().forward(inputs)
        shift = torch.randint(1, WORDS, inputs.input_ids.shape)
        return edited._replace(input_ids=(inputs.input_ids + shift * (edited.detection == 0)) % WORDS)


def groups(counts=(2, 1)):
    """Data samples of one picture and the given numbers of captions."""
    names = ('index', 'num_images', 'num_captions')
    return [VLDataSample(metainfo=dict(zip(names, (7 + i, 1, count)))) for i, count in enumerate(counts)]


def examine(model, inputs, data_samples):
    samples = model.eval()(inputs._replace(images=inputs.images[: len(data_samples)]), None, data_samples, 'predict')
    return [sample.pred_proofreading for sample in samples]


def test_examination_proofreads_the_edits_of_each_group():
    model = build(tiny_vilem(proofread_seed=0))
    inputs, _ = batch_of()
    first, second = examine(model, inputs, groups())
    # Word tokens of the captions of 9 and 4 tokens: 7 and 2. Odd places are edited.
    assert first.edited.int().tolist() == [1, 0, 1, 0, 1, 0, 1] + [1, 0]
    assert first.editable.all() and second.editable.all()  # this corruptor spares no word
    edited = model.corruptor(inputs).input_ids
    assert first.input_ids.tolist() == [*edited[0, 1:8].tolist(), *edited[1, 1:3].tolist()]
    assert first.originals.tolist() == [*inputs.input_ids[0, [1, 3, 5, 7]].tolist(), inputs.input_ids[1, 1].item()]
    assert second.edited.int().tolist() == [1, 0, 1, 0]
    # The same as proofreading the pairs by themselves; caption 1 belongs to picture 0.
    pairs = inputs._replace(input_ids=edited, images=inputs.images[[0, 0, 1]])
    for name, reading in model.proofread(pairs).items():
        wrong, candidates = first.readings[name]
        torch.testing.assert_close(wrong, torch.cat([reading.wrong[0, 1:8], reading.wrong[1, 1:3]]))
        assert torch.equal(candidates[:4], reading.candidates[0, [1, 3, 5, 7]])
        assert torch.equal(second.readings[name][1], reading.candidates[2, [1, 3]])


def test_edits_of_a_group_do_not_depend_on_the_batch():
    model = build(tiny_vilem(corruptor=dict(type='RandomWord')))
    inputs, _ = batch_of()
    state = torch.get_rng_state()
    together = model.edit_groups(inputs, groups(), seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    alone = VLInputs(None, *(part[2:, :6] for part in inputs[1:]))
    assert torch.equal(model.edit_groups(alone, groups()[1:], seed=3), together[2:, :6])
    assert not torch.equal(model.edit_groups(inputs, groups(), seed=4), together)


def test_examination_without_a_head():
    inputs, _ = batch_of()
    (exam,) = examine(build(tiny_vilem(proofread_seed=0, correction_head=None)), inputs, groups((3,)))
    assert all(wrong is not None and candidates is None for wrong, candidates in exam.readings.values())
    (exam,) = examine(build(tiny_vilem(proofread_seed=0, detection_head=None)), inputs, groups((3,)))
    assert all(wrong is None and candidates is not None for wrong, candidates in exam.readings.values())


def test_examination_needs_one_picture():
    samples = groups((3,))
    samples[0].set_metainfo(dict(num_images=2))
    with pytest.raises(ValueError, match='proofread_seed: sample 7 has 2 pictures, must be 1'):
        examine(build(tiny_vilem(proofread_seed=0)), batch_of()[0], samples)


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode must be 'loss', 'predict' or 'tensor', got 'train'"):
        build(tiny_dual())(*batch_of(), mode='train')
    with pytest.raises(ValueError, match="'loss' needs targets"):
        build(tiny_dual())(batch_of()[0], mode='loss')


# Training ------------------------------------------------------------------------------------------------------------


def train(model, wrapper, steps):
    """Losses of the given steps; dropout and the batch depend on the step alone."""
    curve = []
    for step in steps:
        losses = losses_of(model, batch_of(seed=step % 3), seed=step)
        curve.append([loss.item() for loss in losses.values()])
        wrapper.update_params(sum(losses.values()))
    return curve


def optimiser_of(model):
    return build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)))


GOLDEN = [
    [3.6765, 3.5371, 3.1476, 0.8624, 0.7970],
    [0.9551, 2.3185, 2.9415, 0.6323, 0.7396],
    [0.6559, 0.8376, 2.7729, 0.2604, 0.7028],
]


def test_loss_curve():
    model = build(tiny_vilem()).train()
    curve = torch.tensor(train(model, optimiser_of(model), range(40)))
    torch.testing.assert_close(curve[[0, 20, 39]], torch.tensor(GOLDEN), atol=5e-3, rtol=5e-3)
    assert (curve[-3:].mean(dim=0) < curve[:3].mean(dim=0)).all()


def test_a_resumed_run_is_an_uninterrupted_one():
    whole = build(tiny_vilem()).train()
    expected = train(whole, optimiser_of(whole), range(6))
    first = build(tiny_vilem()).train()
    wrapper = optimiser_of(first)
    assert train(first, wrapper, range(3)) == expected[:3]
    second = build(tiny_vilem(), seed=9).train()
    second.load_state_dict(first.state_dict())
    resumed = optimiser_of(second)
    resumed.load_state_dict(wrapper.state_dict())
    assert train(second, resumed, range(3, 6)) == expected[3:]
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), second.state_dict().values()))


def test_bfloat16_losses_are_near_float32():
    full = losses_of(build(tiny_vilem()).eval())
    with torch.autocast('cpu', torch.bfloat16):
        half = losses_of(build(tiny_vilem()).eval())
    for name, loss in half.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, full[name], atol=BFLOAT16_ERROR, rtol=0, msg=lambda m, n=name: f'{n}: {m}')


def test_losses_never_make_the_host_wait():
    # Only the edition before them does, which is not TextCorruptor's here.
    # Meta tensors have no values: .item(), a branch on a value or a selection by a mask raises there.
    with torch.device('meta'):
        model = MODELS.build(tiny_vilem()).train()
    inputs, targets = batch_of()
    inputs, targets = VLInputs(*(t.to('meta') for t in inputs)), CaptionTargets(targets.image_ids.to('meta'))
    losses = model(inputs, targets, mode='loss')
    sum(losses.values()).backward()
    assert len(losses) == 5


# Weights of another run ----------------------------------------------------------------------------------------------


def test_fine_tuning_starts_from_the_encoders_without_queues(tmp_path):
    source = build(tiny_vilem()).train()
    train(source, optimiser_of(source), range(3))
    with torch.no_grad():
        source.contrastive_head.temperature.fill_(0.2)
    torch.save(dict(state_dict=source.state_dict(), meta=dict(epoch=3)), tmp_path / 'source.pth')
    start = dict(type='RetrieverPretrained', checkpoint=str(tmp_path / 'source.pth'))
    model = build(tiny_vilem(init_cfg=start), seed=4)
    theirs, ours = source.state_dict(), model.state_dict()
    for name, value in ours.items():
        if name.startswith('momentum.'):
            assert torch.equal(value, ours[name.removeprefix('momentum.')]), name
        elif not name.startswith('contrastive_head.'):
            assert torch.equal(value, theirs[name]), name
    head = model.contrastive_head
    assert head.temperature.item() == pytest.approx(0.2)
    assert head.next_key == 0 and head.steps == 0 and (head.id_queue == -1).all()


def test_fine_tuning_does_not_run_what_a_checkpoint_carries(tmp_path):
    class Code:
        def __reduce__(self):
            return open, (str(tmp_path / 'ran'), 'w')

    torch.save(dict(state_dict=build(tiny_vilem()).state_dict(), meta=Code()), tmp_path / 'source.pth')
    with pytest.raises(ValueError, match='source.pth: was not read: .* it could run code: io.open'):
        build(tiny_vilem(init_cfg=dict(type='RetrieverPretrained', checkpoint=str(tmp_path / 'source.pth'))))
    assert not (tmp_path / 'ran').exists()


def test_fine_tuning_at_another_resolution(tmp_path):
    torch.save(build(tiny_vilem()).state_dict(), tmp_path / 'source.pth')
    start = dict(type='RetrieverPretrained', checkpoint=str(tmp_path / 'source.pth'))
    config = tiny_vilem(init_cfg=start)
    config['image_encoder']['backbone']['img_size'] = 48
    assert build(config).momentum.image_encoder.backbone.pos_embed.shape == (1, 37, DIMS)
