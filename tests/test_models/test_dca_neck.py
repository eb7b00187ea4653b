"""Dual-branch cross-attention: both branches step at the same time."""

import pytest
import torch

from mmvlforge.models.necks import DCANeck
from mmvlforge.structures import VLInputs

DIMS = 32


def make_neck(num_image_layers, num_text_layers, std=0.3):
    neck = DCANeck(
        image_dims=24,
        text_dims=16,
        embed_dims=DIMS,
        num_heads=4,
        ffn_dims=48,
        num_image_layers=num_image_layers,
        num_text_layers=num_text_layers,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in neck.parameters():
            parameter.normal_(std=std, generator=generator)
    return neck.eval()


def batch():
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 5, 24, generator=generator)
    text = torch.randn(2, 6, 16, generator=generator)
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    words = mask.clone()
    words[:, 0] = False
    words[[0, 1], [5, 3]] = False
    return image, text, VLInputs(None, torch.zeros(2, 6, dtype=torch.long), mask, words)


def reference(neck, image, text, inputs, sequential=False):
    """Eq. 3 written out; ``sequential`` lets the text branch read the image branch's new state."""
    mask = inputs.attention_mask
    image = image @ neck.image_transform.weight.T + neck.image_transform.bias + neck.modality_embed[1]
    text = text @ neck.text_transform.weight.T + neck.text_transform.bias + neck.modality_embed[0]
    for k in range(max(len(neck.image_layers), len(neck.text_layers))):
        old_image, old_text = image, text
        if k < len(neck.image_layers):
            image = neck.image_layers[k](old_image, None, old_text, mask)
        if k < len(neck.text_layers):
            text = neck.text_layers[k](old_text, mask, image if sequential else old_image, None)
    return image[:, 0], image[:, 1:], text[:, 0], text[:, 1:]


@pytest.mark.parametrize('layers', [(3, 3), (3, 1), (0, 2), (2, 0), (0, 0)])
def test_neck_equals_reference(layers):
    neck, (image, text, inputs) = make_neck(*layers), batch()
    with torch.no_grad():
        features = neck(image, text, inputs)
        for ours, expected in zip(features, reference(neck, image, text, inputs)):
            torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    assert torch.equal(features.word_mask, inputs.word_mask[:, 1:])
    assert [tuple(f.shape) for f in features] == [(2, DIMS), (2, 4, DIMS), (2, DIMS), (2, 5, DIMS), (2, 5)]


def test_branches_step_simultaneously():
    neck, (image, text, inputs) = make_neck(2, 2), batch()
    with torch.no_grad():
        features = neck(image, text, inputs)
        one_after_the_other = reference(neck, image, text, inputs, sequential=True)
    assert (features.text_cls - one_after_the_other[2]).abs().max() > 0.1
    assert (features.image_cls - one_after_the_other[0]).abs().max() > 0.1


def test_deleted_branch_is_read_as_mapped_encoder_features():
    image, text, inputs = batch()
    with torch.no_grad():
        without_image_layers = make_neck(0, 2)(image, text, inputs)
        # The text branch still sees the picture ...
        other = make_neck(0, 2)(image.flip(0), text, inputs)
        assert (other.text_cls - without_image_layers.text_cls).abs().max() > 0.1
        # ... and the picture does not see the text.
        other = make_neck(0, 2)(image, text.flip(0), inputs)
        assert torch.equal(other.image_cls, without_image_layers.image_cls)


def test_modality_embedding_row_0_is_text_row_1_is_image():
    neck, (image, text, inputs) = make_neck(0, 0), batch()
    with torch.no_grad():
        neck.modality_embed.zero_()
        before = neck(image, text, inputs)
        neck.modality_embed.copy_(torch.tensor([[2.0], [5.0]]).expand(2, DIMS))
        after = neck(image, text, inputs)
    for field, step in dict(text_cls=2.0, text_tokens=2.0, image_cls=5.0, image_patches=5.0).items():
        difference = getattr(after, field) - getattr(before, field)
        torch.testing.assert_close(difference, torch.full_like(difference, step), atol=1e-5, rtol=0)


def test_padding_is_never_read():
    neck, (image, text, inputs) = make_neck(2, 2), batch()
    with torch.no_grad():
        before = neck(image, text, inputs)
        changed = neck(image, text.masked_fill(~inputs.attention_mask[..., None], 7.0), inputs)
    real = inputs.attention_mask[:, 1:]
    assert not real.all()
    for field in ('image_cls', 'image_patches', 'text_cls'):
        torch.testing.assert_close(getattr(changed, field), getattr(before, field), atol=1e-5, rtol=0)
    torch.testing.assert_close(changed.text_tokens[real], before.text_tokens[real], atol=1e-5, rtol=0)


def test_every_parameter_gets_a_gradient():
    neck, (image, text, inputs) = make_neck(2, 2), batch()
    features = neck.train()(image, text, inputs)
    sum(f.pow(3).sum() for f in features[:4]).backward()
    # A key's bias moves all scores of a row alike: its gradient is 0 but for rounding, so it is only asked to exist.
    assert [n for n, p in neck.named_parameters() if p.grad is None] == []
    assert [n for n, p in neck.named_parameters() if 'key.bias' not in n and not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize('backend', ['eager', 'aot_eager'])
def test_compiles_without_graph_break(backend):
    neck, (image, text, inputs) = make_neck(2, 2, std=0.1), batch()
    torch.compiler.reset()
    compiled = torch.compile(neck, fullgraph=True, backend=backend)
    gradients = []
    for model in (neck, compiled):
        neck.zero_grad()
        features = model(image, text, inputs)
        sum(f.pow(2).sum() for f in features[:4]).backward()
        gradients.append((features, [p.grad.clone() for p in neck.parameters()]))
    (plain, plain_grads), (fast, fast_grads) = gradients
    for a, b in zip(plain, fast):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    for a, b in zip(plain_grads, fast_grads):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_gains_say_how_loud_the_other_modality_is_at_the_start():
    # A patch is known by what sets it apart from the mean of its picture's patches.
    def start(**gains):
        torch.manual_seed(0)
        neck = DCANeck(64, 64, 64, 4, 128, 2, 2, drop=0.0, attn_drop=0.0, **gains).eval()
        image, text = torch.randn(8, 17, 64), torch.randn(8, 13, 64)
        mask = torch.ones(8, 13, dtype=torch.bool)
        with torch.no_grad():
            features = neck(image, text, VLInputs(None, torch.zeros(8, 13, dtype=torch.long), mask, mask))
            other = neck(image.roll(1, 0), text, VLInputs(None, torch.zeros(8, 13, dtype=torch.long), mask, mask))
        patches = features.image_patches
        own = (patches - patches.mean(dim=1, keepdim=True)).square().mean() / patches.square().mean()
        heard = (other.text_tokens - features.text_tokens).square().mean()
        return own.item(), heard.item()

    own_loud, heard = start()
    own, _ = start(image_cross_gain=0.3)
    _, heard_quiet = start(text_cross_gain=0.3)
    assert own > 0.75 > 0.6 > own_loud
    assert heard > 4 * heard_quiet


def test_patches_get_positions():
    torch.manual_seed(0)
    dims = dict(image_dims=24, text_dims=16, embed_dims=DIMS, num_heads=4, ffn_dims=48)
    plain, placed = (DCANeck(**dims, num_image_layers=0, num_text_layers=0, image_grid=g) for g in (None, (2, 2)))
    assert 'image_positions' not in plain.state_dict()
    placed.load_state_dict(plain.state_dict(), strict=False)
    image, text, inputs = batch()
    found, wanted = (neck(image, text, inputs) for neck in (placed, plain))
    assert torch.equal(found.image_cls, wanted.image_cls) and torch.equal(found.text_tokens, wanted.text_tokens)
    added = (found.image_patches - wanted.image_patches)[0].detach()
    # Cells row by row: those of a row share half of the channels, those of a column the other half.
    alike = [[torch.isclose(a, b, atol=1e-6).sum().item() for b in added] for a in added]
    assert alike[0][1] >= DIMS // 2 and alike[0][2] >= DIMS // 2 > alike[0][3] and alike[3][1] >= DIMS // 2
    assert (added[0] - added[1]).abs().max() > 0.1 and (added[0] - added[2]).abs().max() > 0.1
    found.image_patches.sum().backward()
    assert placed.image_positions.grad is not None
    with pytest.raises(ValueError, match='image_grid has 4 cells, the image encoder gives 3'):
        placed(image[:, :4], text, inputs)
    with pytest.raises(ValueError, match='a multiple of 4, got 30'):
        DCANeck(**dict(dims, embed_dims=30, num_heads=2), image_grid=(2, 2))


def test_a_neck_that_begins_at_comparison_tells_a_fitting_caption_from_another():
    """Without training: what stays of a word beside the constant is more where the picture does not show it."""
    torch.manual_seed(0)
    dims, length = 64, 5.0
    neck = DCANeck(dims, dims, dims, num_heads=4, ffn_dims=64, num_image_layers=1, num_text_layers=1).eval()
    with torch.no_grad():
        for linear in (neck.image_transform, neck.text_transform):
            torch.nn.init.eye_(linear.weight)
    neck.begin_at_comparison(length)
    text = length * torch.nn.functional.normalize(torch.randn(50, 1, dims), dim=-1)
    layer, constant = neck.text_layers[0], neck.modality_embed[0]

    def share_of_constant(image):
        words = layer.self_norm(text + constant)
        left = words + layer.cross_attn(words, image)
        return (left @ constant).squeeze(1) / left.norm(dim=-1).squeeze(1)

    with torch.no_grad():
        fits, others = share_of_constant(0.8 * text), share_of_constant(0.8 * text.roll(1, 0))
    assert (fits > others).float().mean() > 0.95
    with pytest.raises(ValueError, match='needs num_text_layers of at least 1'):
        make_neck(1, 0).begin_at_comparison(length)


def test_words_first_hear_what_is_shown_and_not_where():
    """With positions the image branch changes; text layer 1 reads patches without, and all of them without M_i."""

    def heard(num_image_layers, scale):
        torch.manual_seed(0)
        layers = dict(num_heads=4, ffn_dims=48, num_image_layers=num_image_layers, num_text_layers=1)
        neck = DCANeck(24, 16, DIMS, image_grid=(2, 2), position_scale=scale, **layers).eval()
        with torch.no_grad():
            return neck(*batch())

    for num_image_layers in (0, 1):
        quiet, loud = heard(num_image_layers, 0.1), heard(num_image_layers, 3.0)
        assert torch.equal(quiet.text_tokens, loud.text_tokens)
        assert not torch.allclose(quiet.image_patches, loud.image_patches, atol=0.1)
