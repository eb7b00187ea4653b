"""The heads: losses and predictions with values worked out by hand."""

import math

import pytest
import torch
from project import free_port
from torch import nn

from mmvlforge.models.heads import (
    BinaryHead,
    BoxHead,
    DFCHead,
    IMQBoxHead,
    IMQTokenHead,
    MultiLabelHead,
    TokenMLPHead,
)
from mmvlforge.models.heads.dfc_head import log_odds
from mmvlforge.structures import FusedFeatures, ManipulationTargets, VLDataSample

DIMS = 16
LN2, LN3 = math.log(2), math.log(3)


def features_of(image_cls=None, patches=None, text_cls=None, tokens=None, word_mask=None, size=2):
    """Random features, but for what is given."""
    generator = torch.Generator().manual_seed(0)

    def default(given, *shape):
        return torch.randn(size, *shape, generator=generator) if given is None else given

    tokens = default(tokens, 5, DIMS)
    if word_mask is None:  # 4 words and [SEP]; 2 words, [SEP] and padding
        word_mask = torch.arange(tokens.shape[1]) < torch.tensor([[4], [2]])[:size]
    return FusedFeatures(
        default(image_cls, DIMS), default(patches, 6, DIMS), default(text_cls, DIMS), tokens, word_mask
    )


def targets_of(box=None, has_box=None, tokens=None, size=2, **labels):
    zeros = torch.zeros(size, dtype=torch.long)
    if tokens is None:
        tokens = torch.tensor([[-100, 0, 1, 0, 1, -100], [-100, 1, 0, -100, -100, -100]])
    return ManipulationTargets(
        fake=labels.get('fake', zeros),
        image_type=labels.get('image_type', zeros),
        text_type=labels.get('text_type', zeros),
        box=torch.zeros(size, 4) if box is None else box,
        has_box=torch.zeros(size, dtype=torch.bool) if has_box is None else has_box,
        tokens=tokens,
    )


def samples_of(size=2, **metainfo):
    return [VLDataSample(metainfo=dict(dict(ori_shape=(100, 200)), **metainfo)) for _ in range(size)]


def all_heads():
    return [
        BinaryHead(DIMS, 8),
        DFCHead(DIMS, 8),
        MultiLabelHead(DIMS, 8),
        BoxHead(DIMS, 8),
        IMQBoxHead(DIMS, 4, hidden_dims=8),
        TokenMLPHead(DIMS, 8),
        IMQTokenHead(DIMS, 4, reduced_dims=8),
    ]


HEAD_IDS = [type(head).__name__ for head in all_heads()]


# Log-odds ------------------------------------------------------------------------------------------------------------


def test_log_odds_equals_log_of_p_over_rest():
    logits = 3 * torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = logits.softmax(dim=-1)[:, 1:]
    scores = log_odds(logits)
    torch.testing.assert_close(scores, (p / (1 - p)).log(), atol=1e-10, rtol=0)
    assert torch.equal(scores >= 0, p >= 0.5)
    assert (scores >= 0).any() and (scores < 0).any()


def test_log_odds_by_hand():
    # p = (1/6, 1/2, 1/3): odds 1 and 1/2. Then p = (1/3, 1/3, 1/3): the likeliest class need not reach 1/2.
    logits = torch.tensor([[1.0, 3.0, 2.0], [1.0, 1.0, 1.0]]).log()
    torch.testing.assert_close(log_odds(logits), torch.tensor([[0.0, -LN2], [-LN2, -LN2]]), atol=1e-6, rtol=0)


def test_log_odds_of_extreme_logits_is_finite():
    torch.testing.assert_close(log_odds(torch.tensor([[0.0, 500.0, -500.0]])), torch.tensor([[500.0, -1000.0]]))


# Binary and type heads -----------------------------------------------------------------------------------------------


def test_binary_head_by_hand():
    head = BinaryHead(in_dims=1, loss_weight=2.0)
    head.classifier = nn.Identity()  # the logits are {i_cls, t_cls} themselves
    features = features_of(torch.tensor([[0.0], [0.0]]), text_cls=torch.tensor([[0.0], [LN3]]))  # P(fake) = 1/2, 3/4
    loss = head.loss(features, targets_of(fake=torch.tensor([1, 0])))
    assert loss['loss_binary'].item() == pytest.approx(2 * (LN2 + math.log(4)) / 2, abs=1e-6)
    samples = samples_of()
    head.predict(features, samples)
    assert [s.pred_fake_score for s in samples] == pytest.approx([0.5, 0.75], abs=1e-6)


def test_dfc_head_by_hand():
    head = DFCHead(in_dims=3, loss_weight=2.0)
    head.image_classifier = head.text_classifier = nn.Identity()
    image = torch.tensor([[1.0, 3.0, 2.0], [1.0, 1.0, 6.0]]).log()  # P = (1/6, 1/2, 1/3), (1/8, 1/8, 3/4)
    text = torch.tensor([[3.0, 1.0, 1.0], [1.0, 2.0, 2.5]]).log()
    features = features_of(image, text_cls=text)
    targets = targets_of(image_type=torch.tensor([1, 0]), text_type=torch.tensor([0, 2]))
    loss = head.loss(features, targets)
    assert set(loss) == {'loss_image_type', 'loss_text_type'}
    assert loss['loss_image_type'].item() == pytest.approx(LN2 + math.log(8), abs=1e-6)
    assert loss['loss_text_type'].item() == pytest.approx(math.log(5 / 3) + math.log(5.5 / 2.5), abs=1e-6)
    samples = samples_of()
    head.predict(features, samples)
    assert [(s.pred_image_type, s.pred_text_type) for s in samples] == [(1, 0), (2, 2)]
    expected = torch.tensor([[1.0, 0.5, 1 / 4, 1 / 4], [1 / 7, 3.0, 2 / 3.5, 2.5 / 3]]).log()
    torch.testing.assert_close(torch.stack([s.pred_type_scores for s in samples]), expected, atol=1e-6, rtol=0)


def test_dfc_branches_are_decoupled():
    head = DFCHead(DIMS, 8)
    features = features_of()
    image, text = head(features)
    other = features._replace(text_cls=features.text_cls + 1)
    assert torch.equal(head(other)[0], image) and not torch.equal(head(other)[1], text)


def test_multi_label_head_by_hand():
    head = MultiLabelHead(in_dims=2, loss_weight=0.5)
    head.classifier = nn.Identity()  # image logits = i_cls, text logits = t_cls
    image = torch.tensor([[-1.0, 2.0], [3.0, 2.0], [-1.0, -2.0]])
    text = torch.tensor([[-3.0, -0.5], [-1.0, 0.5], [0.5, 0.25]])
    features = features_of(image, text_cls=text, size=3, tokens=torch.zeros(3, 2, 1), word_mask=torch.ones(3, 2).bool())
    samples = samples_of(3)
    head.predict(features, samples)
    assert [(s.pred_image_type, s.pred_text_type) for s in samples] == [(2, 0), (1, 2), (0, 1)]
    assert torch.equal(samples[1].pred_type_scores, torch.tensor([3.0, 2.0, -1.0, 0.5]))
    # One row: labels swap and real, -log(1 - sigmoid(x)) = log(1 + e^x), -log(sigmoid(x)) = log(1 + e^-x).
    row = FusedFeatures(image[:1], None, text[:1], None, None)
    loss = head.loss(row, targets_of(size=1, image_type=torch.tensor([1])))['loss_types']
    expected = sum(math.log(1 + math.exp(x)) for x in (1, 2, -3, -0.5))
    assert loss.item() == pytest.approx(0.5 * expected, abs=1e-6)


def test_multi_label_loss_is_summed_over_types_and_averaged_over_rows():
    head = MultiLabelHead(in_dims=2)
    head.classifier = nn.Identity()
    features = features_of(torch.zeros(2, 2), text_cls=torch.zeros(2, 2))
    assert head.loss(features, targets_of())['loss_types'].item() == pytest.approx(4 * LN2, abs=1e-6)


# Box heads -----------------------------------------------------------------------------------------------------------


def box_head(**kwargs):
    """A head whose boxes are the sigmoid of the (only) patch."""
    head = BoxHead(in_dims=4, **kwargs)
    head.box_mlp = nn.Identity()
    return head


def box_features(boxes):
    patches = torch.tensor(boxes).logit().unsqueeze(1).requires_grad_()
    return features_of(patches=patches, size=len(boxes), word_mask=torch.ones(len(boxes), 5).bool())


# IoU .6 and no empty part in the enclosing box: GIoU .6; disjoint: union .08 in an enclosing .16, GIoU -.5; no box.
HAND_PRED = [[0.55, 0.5, 0.2, 0.2], [0.2, 0.5, 0.2, 0.2], [0.5, 0.5, 0.5, 0.5]]
HAND_BOX = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.8, 0.5, 0.2, 0.2], [0.0, 0.0, 0.0, 0.0]])
HAND_HAS_BOX = torch.tensor([True, True, False])


# The last one against the corner: a union of .25 in an enclosing (0, 0, .75, .75), so 1 - GIoU = 1 + .3125/.5625.
@pytest.mark.parametrize(
    'settings, l1, giou',
    [
        (dict(), (0.05 + 0.6 + 2.0) / 3, (0.4 + 1.5 + 1 + 5 / 9) / 3),
        (dict(supervise_empty='both'), (0.05 + 0.6 + 2.0) / 3, (0.4 + 1.5 + 1 + 5 / 9) / 3),
        (dict(supervise_empty='l1'), (0.05 + 0.6 + 2.0) / 3, (0.4 + 1.5) / 2),
        (dict(supervise_empty='none', no_box_rule='type'), (0.05 + 0.6) / 2, (0.4 + 1.5) / 2),
    ],
)
def test_box_loss_by_hand(settings, l1, giou):
    head = box_head(loss_weight=0.1, **settings)
    loss = head.loss(box_features(HAND_PRED), targets_of(HAND_BOX, HAND_HAS_BOX, size=3))
    assert loss['loss_box_l1'].item() == pytest.approx(0.1 * l1, abs=1e-6)
    assert loss['loss_box_giou'].item() == pytest.approx(0.1 * giou, abs=1e-6)


def loss_gradients(heads, features, targets, rows, out):
    """Losses of some rows on one of several processes, and the weights' gradients averaged over them."""
    from mmengine.dist import all_reduce

    part = FusedFeatures(*(f[rows] for f in features))
    own = ManipulationTargets(*(t[rows] for t in targets))
    losses = [loss for head in heads for loss in head.loss(part, own).values()]
    found = []
    for loss in losses:
        weights = [p for head in heads for p in head.parameters()]
        gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        found += [loss.detach(), *(g for g in gradients if g is not None)]
    for value in found:
        all_reduce(value, 'mean')
    out += found


def process(rank, port, path):
    torch.distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    heads, features, targets, parts = torch.load(path, weights_only=False)
    found = []
    loss_gradients(heads, features, targets, parts[rank], found)
    torch.save(found, f'{path}.{rank}')
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_learn_what_one_does_however_regions_and_words_are_shared_out(tmp_path):
    heads = [IMQBoxHead(DIMS, 4, hidden_dims=8, supervise_empty=kind) for kind in ('both', 'l1')]
    heads += [BoxHead(DIMS, 8, supervise_empty='none', no_box_rule='type'), IMQTokenHead(DIMS, 4, reduced_dims=8)]
    # Both regions, and all but two of the words, are in one process's half.
    tokens = torch.full((4, 6), -100)
    tokens[:2, 1:5] = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 1]])
    tokens[2, 1:3] = 1
    box = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.3, 0.4, 0.3, 0.3], [0.0] * 4, [0.0] * 4])
    targets = targets_of(box, box[:, 2] > 0, tokens, size=4)
    features = features_of(size=4, word_mask=tokens[:, 1:] >= 0)
    expected = []
    loss_gradients(heads, features, targets, slice(None), expected)
    path = tmp_path / 'job.pth'
    torch.save((heads, features, targets, [slice(0, 2), slice(2, 4)]), path)
    torch.multiprocessing.spawn(process, (free_port(), str(path)), nprocs=2)
    for rank in range(2):
        found = torch.load(f'{path}.{rank}')
        assert len(found) == len(expected) > 20
        for ours, theirs in zip(found, expected):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_box_loss_of_a_perfect_and_of_an_enclosed_box():
    # The same box: 0. A quarter of the true box, inside it: IoU = GIoU = 1/4.
    head = box_head(loss_weight=1.0)
    target = torch.tensor([[0.5, 0.5, 0.4, 0.4]])
    for pred, l1, giou in (([[0.5, 0.5, 0.4, 0.4]], 0.0, 0.0), ([[0.5, 0.5, 0.2, 0.2]], 0.4, 0.75)):
        loss = head.loss(box_features(pred), targets_of(target, torch.tensor([True]), size=1))
        assert loss['loss_box_l1'].item() == pytest.approx(l1, abs=1e-6)
        assert loss['loss_box_giou'].item() == pytest.approx(giou, abs=1e-6)


@pytest.mark.parametrize('supervise_empty', ['both', 'l1', 'none'])
@pytest.mark.parametrize('logit', [-200.0, -30.0, -13.0, 0.0])
def test_box_loss_without_any_region_is_finite(supervise_empty, logit):
    head = box_head(supervise_empty=supervise_empty, no_box_rule='type')
    patches = torch.full((2, 1, 4), logit, requires_grad=True)
    loss = head.loss(features_of(patches=patches), targets_of())
    # Zeros against zeros are right; boxes of (.5, .5, .5, .5) against zeros are 2 apart, if that is taught at all.
    taught = 0.1 * 4 / (1 + math.exp(-logit)) if supervise_empty != 'none' else 0.0
    assert loss['loss_box_l1'].item() == pytest.approx(taught, abs=1e-6)
    if supervise_empty == 'both':
        assert 0.1 - 1e-6 <= loss['loss_box_giou'].item() <= 0.2  # nothing in common, the best is an empty box
    else:
        assert loss['loss_box_giou'].item() == 0
    sum(loss.values()).backward()
    assert patches.grad.isfinite().all() and patches.grad.abs().max() < 1
    if logit == 0:
        assert (patches.grad.abs().sum() > 0) == (supervise_empty != 'none')


def test_box_loss_of_a_zero_box_against_a_region_is_finite():
    patches = torch.full((2, 1, 4), -200.0, requires_grad=True)
    targets = targets_of(torch.tensor([[0.5, 0.5, 0.2, 0.2]]).expand(2, -1), torch.tensor([True, True]))
    loss = box_head(loss_weight=1.0).loss(features_of(patches=patches), targets)
    assert loss['loss_box_l1'].item() == pytest.approx(1.4, abs=1e-6)
    # Nothing in common; the enclosing box (0, 0, .6, .6) is .36, the union .04: GIoU = -32/36.
    assert loss['loss_box_giou'].item() == pytest.approx(1 + 32 / 36, abs=1e-6)
    sum(loss.values()).backward()
    assert patches.grad.isfinite().all()


def test_box_gradient_moves_a_disjoint_box_towards_the_region():
    features = box_features([[0.2, 0.5, 0.2, 0.2]])
    loss = box_head().loss(features, targets_of(torch.tensor([[0.8, 0.5, 0.2, 0.2]]), torch.tensor([True]), size=1))
    (gradient,) = torch.autograd.grad(loss['loss_box_giou'], features.image_patches)
    assert gradient[0, 0, 0] < 0


def test_box_rule_coord():
    head = box_head(no_box_rule='coord')
    # cxcywh: all but zero; x2 = 1.5e-4 is a box; all four of xyxy just below 1e-4.
    patches = torch.tensor([[1e-6] * 4, [5e-5, 1e-6, 2e-4, 1e-6], [4e-5, 4e-5, 1e-4, 1e-4]]).logit().unsqueeze(1)
    samples = samples_of(3)
    head.predict(features_of(patches=patches, size=3, word_mask=torch.ones(3, 5).bool()), samples)
    assert [s.pred_box is None for s in samples] == [True, False, True]


def test_box_rule_type_follows_the_type_head():
    samples = samples_of(2)
    samples[0].pred_image_type, samples[1].pred_image_type = 0, 2
    head = box_head(no_box_rule='type')
    head.predict(box_features([[0.5, 0.5, 0.2, 0.2], [1e-6] * 4]), samples)
    assert samples[0].pred_box is None
    assert samples[1].pred_box is not None and samples[1].pred_box.abs().max() < 1e-3


def test_box_is_in_pixels_of_the_stored_image_and_flip_is_undone():
    # cxcywh (.25, .5, .1, .2) = xyxy (.2, .4, .3, .6); the stored image is 200 wide and 100 high.
    features = box_features([[0.25, 0.5, 0.1, 0.2]] * 2)
    samples = samples_of(1) + samples_of(1, flip=True)
    box_head().predict(features, samples)
    torch.testing.assert_close(samples[0].pred_box, torch.tensor([40.0, 40.0, 60.0, 60.0]))
    torch.testing.assert_close(samples[1].pred_box, torch.tensor([140.0, 40.0, 160.0, 60.0]))


def test_box_is_not_cut_at_the_picture():
    """Published practice scores it as it is; the pictures that people see cut it."""
    samples = samples_of(1)
    box_head().predict(box_features([[0.1, 0.9, 0.4, 0.4]]), samples)
    torch.testing.assert_close(samples[0].pred_box, torch.tensor([-20.0, 70.0, 60.0, 110.0]))


def test_both_rules_are_answered_whichever_is_configured():
    patches = [[0.5, 0.5, 0.2, 0.2], [1e-6] * 4]
    for rule in ('coord', 'type'):
        samples = samples_of(2)
        samples[0].pred_image_type, samples[1].pred_image_type = 0, 1
        box_head(no_box_rule=rule).predict(box_features(patches), samples)
        assert [s.pred_no_box for s in samples] == [dict(coord=False, type=True), dict(coord=True, type=False)]
        assert [s.pred_box is None for s in samples] == [s.pred_no_box[rule] for s in samples]
        torch.testing.assert_close(samples[0].pred_box_raw, torch.tensor([80.0, 40.0, 120.0, 60.0]))
        assert samples[1].pred_box_raw.abs().max() < 1e-3


def test_rule_type_needs_a_type_head():
    samples = samples_of(1)
    box_head().predict(box_features([[0.5, 0.5, 0.2, 0.2]]), samples)
    assert samples[0].pred_no_box == dict(coord=False)
    with pytest.raises(ValueError, match='needs pred_image_type, which a type head writes'):
        box_head(no_box_rule='type').predict(box_features([[0.5, 0.5, 0.2, 0.2]]), samples_of(1))


def test_box_head_refuses_bad_settings():
    with pytest.raises(ValueError, match="no_box_rule must be 'coord' or 'type', got 'class'"):
        BoxHead(4, no_box_rule='class')
    with pytest.raises(ValueError, match="needs supervise_empty='both' or 'l1'"):
        BoxHead(4, supervise_empty='none')
    with pytest.raises(ValueError, match=r"must be one of \('both', 'l1', 'none'\), got True"):
        BoxHead(4, supervise_empty=True)


@pytest.mark.parametrize('imq_residual', [False, True])
@pytest.mark.parametrize('num_queries', [1, 3])
def test_image_query_equals_equation_6(num_queries, imq_residual):
    head = IMQBoxHead(DIMS, 4, num_queries=num_queries, hidden_dims=8, imq_residual=imq_residual)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.4, generator=torch.Generator().manual_seed(parameter.numel()))
    features = features_of()
    queries, attention = head.queries.query[0], head.queries.attention
    query, key = attention.query(queries), attention.key(features.image_patches)
    value = attention.value(features.image_patches)
    heads = []
    for part in (slice(k, k + 4) for k in range(0, DIMS, 4)):
        weights = (query[:, part] @ key[..., part].transpose(1, 2) / 4**0.5).softmax(dim=-1)
        heads.append(weights @ value[..., part])
    f_im = attention.out(torch.cat(heads, dim=-1))
    if imq_residual:
        f_im = head.queries.norm(queries + f_im)
    f_im = f_im.mean(dim=1)
    torch.testing.assert_close(head(features), head.box_mlp(f_im).sigmoid(), atol=1e-6, rtol=0)
    assert head(features).shape == (2, 4)


# Token heads ---------------------------------------------------------------------------------------------------------


def token_head(**kwargs):
    """A head whose logits are the tokens."""
    head = TokenMLPHead(in_dims=2, **kwargs)
    head.classifier = nn.Identity()
    return head


def token_features():
    """P(manipulated): 3/4, 1/2 and [SEP]; 1/4, [SEP] and padding, both far off."""
    tokens = torch.tensor([[[0, LN3], [0, 0], [90, 0]], [[LN3, 0], [0, 90], [90, -90]]])
    return features_of(tokens=tokens, word_mask=torch.tensor([[True, True, False], [True, False, False]]))


def test_token_loss_is_the_mean_over_words_by_hand():
    labels = torch.tensor([[-100, 1, 0, -100], [-100, 1, -100, -100]])
    loss = token_head(loss_weight=2.0).loss(token_features(), targets_of(tokens=labels))
    assert loss['loss_token'].item() == pytest.approx(2 * (math.log(4 / 3) + LN2 + math.log(4)) / 3, abs=1e-6)


def test_tokens_are_predicted_for_words_only():
    samples = samples_of()
    token_head().predict(token_features(), samples)
    assert [s.pred_tokens.tolist() for s in samples] == [[1, 0], [0]]
    assert samples[0].pred_token_scores.tolist() == pytest.approx([0.75, 0.5], abs=1e-6)
    assert samples[1].pred_token_scores.tolist() == pytest.approx([0.25], abs=1e-6)


@pytest.mark.parametrize('head', [TokenMLPHead(DIMS, 8), IMQTokenHead(DIMS, 4, 8)], ids=lambda h: type(h).__name__)
def test_batch_without_words_gives_zero_loss_and_finite_gradients(head):
    tokens = torch.randn(2, 3, DIMS, requires_grad=True)
    features = features_of(tokens=tokens, word_mask=torch.zeros(2, 3, dtype=torch.bool))
    head.zero_grad()
    loss = head.loss(features, targets_of(tokens=torch.full((2, 4), -100)))['loss_token']
    loss.backward()
    assert loss.item() == 0
    assert all(t.grad.isfinite().all() and (t.grad == 0).all() for t in [tokens, *head.parameters()])
    samples = samples_of()
    head.predict(features, samples)
    assert [len(s.pred_tokens) for s in samples] == [0, 0]


@pytest.mark.parametrize('imq_residual', [False, True])
def test_text_queries_equal_equations_6_and_8(imq_residual):
    head = IMQTokenHead(DIMS, 4, reduced_dims=8, imq_residual=imq_residual)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.4, generator=torch.Generator().manual_seed(parameter.numel()))
    features = features_of()
    logits = head(features)
    assert logits.shape == (2, 5, 2)
    for row, mask in enumerate(features.word_mask):
        words = features.text_tokens[row, mask]  # the queries read the words and nothing else
        queries, attention = head.queries.query[0], head.queries.attention
        query, key, value = attention.query(queries), attention.key(words), attention.value(words)
        heads = []
        for part in (slice(k, k + 4) for k in range(0, DIMS, 4)):
            heads.append((query[:, part] @ key[:, part].T / 2).softmax(dim=-1) @ value[:, part])
        f_tm = attention.out(torch.cat(heads, dim=-1))
        if imq_residual:
            f_tm = head.queries.norm(queries + f_tm)
        expected = head.reduce_token(features.text_tokens[row]) @ head.reduce_query(f_tm).T / 8**0.5
        torch.testing.assert_close(logits[row], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize('head', [TokenMLPHead(DIMS, 8), IMQTokenHead(DIMS, 4, 8)], ids=lambda h: type(h).__name__)
def test_special_tokens_and_padding_neither_teach_nor_are_read(head):
    features, targets = features_of(), targets_of()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.4, generator=torch.Generator().manual_seed(parameter.numel()))
    tokens = features.text_tokens.clone().requires_grad_()
    head.loss(features._replace(text_tokens=tokens), targets)['loss_token'].backward()
    assert (tokens.grad[~features.word_mask] == 0).all()
    assert (tokens.grad[features.word_mask].abs().sum(dim=-1) > 0).all()
    changed = features.text_tokens.masked_fill(~features.word_mask[..., None], 50.0)
    with torch.no_grad():
        after = head(features._replace(text_tokens=changed))[features.word_mask]
        torch.testing.assert_close(after, head(features)[features.word_mask], atol=1e-5, rtol=0)


def test_real_and_manipulated_queries_start_apart():
    # Queries near zero both take the mean of the words: no word is then told from another at the start, and the
    # gradient that would part them is as small. The difference of the two logits is what a word is judged by.
    def spread(std):
        torch.manual_seed(0)
        head = IMQTokenHead(64, 4, reduced_dims=64, query_std=std)
        tokens = torch.nn.functional.layer_norm(torch.randn(8, 12, 64), (64,))
        logits = head(features_of(tokens=tokens, word_mask=torch.ones(8, 12).bool(), size=8))
        return (logits[..., 1] - logits[..., 0]).std().item()

    assert IMQTokenHead(64, 4).queries.query.std().item() == pytest.approx(1, abs=0.2)
    assert spread(1.0) > 20 * spread(0.02)


# All heads -----------------------------------------------------------------------------------------------------------


def hand_targets():
    one = torch.tensor([1, 0])
    box = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0, 0, 0, 0]])
    return targets_of(box, torch.tensor([True, False]), fake=one, image_type=one, text_type=2 * one)


@pytest.mark.parametrize('head', all_heads(), ids=HEAD_IDS)
def test_losses_are_float32_under_bfloat16_and_near_float32(head):
    features, targets = features_of(), hand_targets()
    full = head.loss(features, targets)
    with torch.autocast('cpu', torch.bfloat16):
        half = head.loss(FusedFeatures(*(f.bfloat16() if f.is_floating_point() else f for f in features)), targets)
    assert set(half) == set(full) and all(name.startswith('loss_') for name in full)
    for name, loss in half.items():
        assert loss.dtype == torch.float32 and loss.shape == ()
        torch.testing.assert_close(loss, full[name], atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize('head', all_heads(), ids=HEAD_IDS)
def test_losses_are_float32_with_bfloat16_weights(head):
    # As DeepSpeed and FSDP run it: no autocast lifts anything.
    features = FusedFeatures(*(f.bfloat16() if f.is_floating_point() else f for f in features_of()))
    losses = head.bfloat16().loss(features, hand_targets())
    head.float()
    assert all(loss.dtype == torch.float32 for loss in losses.values())


@pytest.mark.parametrize('head', [BoxHead(DIMS, 8), IMQBoxHead(DIMS, 4, hidden_dims=8)], ids=lambda h: type(h).__name__)
def test_boxes_are_float32_under_bfloat16(head):
    # A bfloat16 number below 1 has 8 bits: a coordinate would be off by up to half a pixel in 256.
    with torch.autocast('cpu', torch.bfloat16):
        assert head(features_of()).dtype == torch.float32


@pytest.mark.parametrize('head', all_heads(), ids=HEAD_IDS)
def test_loss_weight_scales_every_loss(head):
    features, targets = features_of(), hand_targets()
    single = head.loss(features, targets)
    weight = head.loss_weight
    head.loss_weight = 3 * weight
    tripled = head.loss(features, targets)
    head.loss_weight = weight
    for name, loss in single.items():
        assert loss > 0
        torch.testing.assert_close(tripled[name], 3 * loss)


@pytest.mark.parametrize('head', all_heads(), ids=HEAD_IDS)
def test_loss_compiles_without_graph_break_and_without_looking_at_values(head):
    # A compiled full graph cannot hold .item(), a branch on a value or a mask selection: those make the host wait.
    features, targets = features_of(), hand_targets()
    for backend in ('eager', 'aot_eager'):
        torch.compiler.reset()
        compiled = torch.compile(head.loss, fullgraph=True, backend=backend)
        gradients = []
        for loss_of in (head.loss, compiled):
            head.zero_grad()
            losses = loss_of(features, targets)
            sum(losses.values()).backward()
            gradients.append((losses, [p.grad.clone() for p in head.parameters()]))
        (plain, plain_grads), (fast, fast_grads) = gradients
        assert list(plain) == list(fast)
        torch.testing.assert_close(list(fast.values()), list(plain.values()), atol=1e-5, rtol=0)
        torch.testing.assert_close(fast_grads, plain_grads, atol=1e-5, rtol=0)


@pytest.mark.parametrize('head', all_heads(), ids=HEAD_IDS)
def test_forward_compiles_without_graph_break(head):
    features = features_of()
    torch.compiler.reset()
    compiled = torch.compile(head, fullgraph=True, backend='eager')
    with torch.no_grad():
        torch.testing.assert_close(compiled(features), head(features), atol=1e-5, rtol=0)
