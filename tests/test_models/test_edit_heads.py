"""Error detection and correction: numbers by hand, and nothing without edits."""

import pytest
import torch
import torch.nn.functional as F

from mmvlforge.models.heads import ErrorCorrectionHead, ErrorDetectionHead
from mmvlforge.structures import EditedText

DIMS, WORDS = 8, 11
# Three captions: two edits, none, one (and padding).
DETECTION = torch.tensor([[-100, 1, 0, 0, 1, -100], [-100, 1, 1, 1, 1, -100], [-100, 0, 1, -100, -100, -100]])
CORRECTION = torch.tensor([[-100, -100, 5, 9, -100, -100], [-100] * 6, [-100, 3, -100, -100, -100, -100]])
EDITED = EditedText(torch.ones(3, 6, dtype=torch.int64), DETECTION, CORRECTION)
UNEDITED = EditedText(*(t[1:2].expand(3, -1) for t in EDITED))


def tokens():
    return torch.randn(3, 6, DIMS, generator=torch.Generator().manual_seed(1)).requires_grad_()


def decode(x):
    return x @ torch.randn(DIMS, WORDS, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize('skip_unedited', [False, True])
def test_detection_sums_over_tokens_and_averages_captions(skip_unedited):
    """Eq. 8: the expectation is over all captions, right ones too, unless they are skipped."""
    head, x = ErrorDetectionHead(DIMS, skip_unedited=skip_unedited, loss_weight=2.0), tokens()
    log = head(x).log_softmax(dim=-1)
    first = log[0, 1, 1] + log[0, 2, 0] + log[0, 3, 0] + log[0, 4, 1]
    second = log[1, 1:5, 1].sum()
    third = log[2, 1, 0] + log[2, 2, 1]
    expected = -(first + third) / 2 if skip_unedited else -(first + second + third) / 3
    torch.testing.assert_close(head.loss(x, EDITED)['loss_detection'], 2 * expected)


def test_detection_learns_from_captions_without_edits():
    head, x = ErrorDetectionHead(DIMS), tokens()
    loss = head.loss(x, UNEDITED)['loss_detection']
    torch.testing.assert_close(loss, -head(x).log_softmax(dim=-1)[:, 1:5, 1].sum(dim=1).mean())
    loss.backward()
    assert x.grad[:, 1:5].abs().min() > 0 and not x.grad[:, [0, 5]].any()


@pytest.mark.parametrize('dims', [128, 768])
def test_detection_starts_small_at_any_width(dims):
    """Normalised features: logits of .02 times the root of the width, not Xavier's 1.4."""
    torch.manual_seed(0)
    stds = [ErrorDetectionHead(dims, edit_prior=0.5)(torch.randn(2000, dims)).std().item() for _ in range(20)]
    assert sum(stds) / 20 == pytest.approx(0.02 * dims**0.5, rel=0.15)
    head = ErrorDetectionHead(dims, init_std=0.0)
    assert not head.classifier[-1].weight.any()
    torch.testing.assert_close(head(torch.randn(3, dims)).softmax(dim=-1), torch.tensor([[0.15, 0.85]] * 3))


@pytest.mark.parametrize('accelerator', [False, True])
@pytest.mark.parametrize('max_edits', [2, 8])  # 8 are more than the tokens of a caption
def test_correction_averages_over_edited_tokens(max_edits, accelerator, monkeypatch):
    monkeypatch.setattr('torch.compiler.is_compiling', lambda: accelerator)  # takes its way: rows for all max_edits
    head, x = ErrorCorrectionHead(DIMS, WORDS, max_edits, loss_weight=2.0), tokens()
    with torch.no_grad():
        head.bias.normal_(generator=torch.Generator().manual_seed(3))
    hidden = F.layer_norm(F.gelu(head.transform[0](x)), (DIMS,), eps=1e-12)
    log = (decode(hidden) + head.bias).log_softmax(dim=-1)
    expected = -2 * (log[0, 2, 5] + log[0, 3, 9] + log[2, 1, 3]) / 3
    torch.testing.assert_close(head.loss(x, EDITED, decode)['loss_correction'], expected)


@pytest.mark.parametrize(
    'head, arguments',
    [(ErrorDetectionHead(DIMS, skip_unedited=True), ()), (ErrorCorrectionHead(DIMS, WORDS), (decode,))],
)
def test_without_edits_loss_and_gradients_are_zero(head, arguments):
    x = tokens()
    ((name, loss),) = head.loss(x, UNEDITED, *arguments, prefix='loss_local').items()
    assert name in ('loss_local_detection', 'loss_local_correction')
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in [x, *head.parameters()])


def test_logits_have_a_row_for_each_token():
    assert ErrorDetectionHead(DIMS)(tokens()).shape == (3, 6, 2)
    assert ErrorCorrectionHead(DIMS, WORDS)(tokens(), decode).shape == (3, 6, WORDS)
