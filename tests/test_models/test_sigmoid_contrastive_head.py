"""SigLIP's loss: numbers by hand, equal to transformers' own, and several processes as one."""

import math

import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import distributed

from mmvlforge.models.heads import SigmoidContrastiveHead
from mmvlforge.structures import RetrievalFeatures

DIMS = 4


def pairs(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, count, DIMS, generator=generator)
    return RetrievalFeatures(F.normalize(image, dim=-1), F.normalize(text, dim=-1))


def by_loops(features, right, scale, bias):
    """Algorithm 1, pair by pair; ``right``: the set of right pairs."""
    total = 0.0
    for i, image in enumerate(features.image.double()):
        for j, text in enumerate(features.text.double()):
            logit = scale * float(image @ text) + bias
            total += math.log1p(math.exp(-logit if (i, j) in right else logit))
    return total / len(features.image)


def test_loss_by_hand_and_its_start():
    head, features = SigmoidContrastiveHead(), pairs(3)
    loss = head.loss(features, torch.tensor([7, 7, 8]))['loss_align']  # ids do not matter by default
    assert loss.item() == pytest.approx(by_loops(features, {(0, 0), (1, 1), (2, 2)}, 10, -10), rel=1e-5)
    assert head.logit_scale.item() == pytest.approx(math.log(10)) and head.logit_bias.item() == -10


def test_a_batch_without_pairs_is_an_error():
    with pytest.raises(ValueError, match='SigmoidContrastiveHead: there is no pair in the batch'):
        SigmoidContrastiveHead().loss(pairs(0), torch.zeros(0, dtype=torch.int64))


def test_all_captions_of_the_picture_are_right():
    head, features = SigmoidContrastiveHead(5.0, -2.0, multi_positive=True, loss_weight=0.5), pairs(3)
    right = {(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)}
    loss = head.loss(features, torch.tensor([7, 7, 0]))['loss_align']
    assert loss.item() == pytest.approx(0.5 * by_loops(features, right, 5, -2), rel=1e-5)


def test_hard_texts_are_one_more_wrong_text_of_their_own_picture():
    head, features, hard = SigmoidContrastiveHead(5.0, -2.0), pairs(2), pairs(2, seed=9).text
    plain = head.loss(features, torch.arange(2))['loss_align']
    more = [math.log1p(math.exp(5 * float(i @ t) - 2)) / 2 for i, t in zip(features.image, hard)]
    both = head.loss(features, torch.arange(2), hard_texts=hard)['loss_align']
    assert both.item() == pytest.approx(plain.item() + sum(more), rel=1e-5)
    one = head.loss(features, torch.arange(2), hard_texts=hard, hard_mask=torch.tensor([True, False]))['loss_align']
    assert one.item() == pytest.approx(plain.item() + more[0], rel=1e-5)


def test_equals_the_loss_of_transformers():
    from transformers import SiglipConfig, SiglipModel

    size = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    text = dict(size, vocab_size=20, max_position_embeddings=6, projection_size=16)
    torch.manual_seed(0)
    theirs = SiglipModel(SiglipConfig(text, dict(size, image_size=16, patch_size=8))).eval()
    with torch.no_grad():
        theirs.logit_scale.fill_(2.0)
        theirs.logit_bias.fill_(-3.0)
        images, ids = torch.randn(4, 3, 16, 16), torch.randint(20, (4, 6))
        outputs = theirs(input_ids=ids, pixel_values=images, return_loss=True)
        head = SigmoidContrastiveHead()
        head.start_scale(theirs.logit_scale, theirs.logit_bias)
        ours = head.loss(RetrievalFeatures(outputs.image_embeds, outputs.text_embeds), torch.arange(4))['loss_align']
    torch.testing.assert_close(ours, outputs.loss, atol=1e-5, rtol=0)
    head.start_scale(torch.tensor(4.6))  # a model without a bias leaves ours
    assert head.logit_scale.item() == pytest.approx(4.6) and head.logit_bias.item() == -3


def test_autocast_does_not_coarsen_the_similarities():
    features, head = pairs(3), SigmoidContrastiveHead()
    expected = head.loss(features, torch.arange(3))['loss_align']
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(head.loss(features, torch.arange(3))['loss_align'], expected)


SHARES = {2: [4, 5], 3: [3, 1, 5]}  # rows of each process


def share(own, multi_positive):
    """The loss of some of nine pairs, and its gradients."""
    whole, hard = pairs(9), pairs(9, seed=5).text
    features = RetrievalFeatures(*(t[own].clone().requires_grad_() for t in whole))
    wrong = hard[own].clone().requires_grad_()
    head = SigmoidContrastiveHead(5.0, -2.0, multi_positive)
    mask = torch.arange(9)[own] % 2 == 0
    loss = head.loss(features, (torch.arange(9) // 2)[own], hard_texts=wrong, hard_mask=mask)['loss_align']
    loss.backward()
    rows, learnt = (*features, wrong), (head.logit_scale, head.logit_bias)
    return dict(loss=loss.detach(), rows=[t.grad for t in rows], learnt=[t.grad for t in learnt])


def work(rank, processes, store, out, multi_positive):
    """One process: its share of nine pairs."""
    distributed.init_process_group('gloo', init_method=f'file://{store}', rank=rank, world_size=processes)
    start = sum(SHARES[processes][:rank])
    torch.save(share(slice(start, start + SHARES[processes][rank]), multi_positive), f'{out}/{rank}.pth')
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.parametrize(('processes', 'multi_positive'), [(2, True), (3, False)])
def test_several_processes_are_as_one(tmp_path, processes, multi_positive):
    """Texts that go round give the loss and the gradients of all pairs at once, whatever each process has of them."""
    mp.spawn(work, (processes, str(tmp_path / 'store'), str(tmp_path), multi_positive), nprocs=processes)
    together = [torch.load(tmp_path / f'{rank}.pth') for rank in range(processes)]
    alone = share(slice(None), multi_positive)

    def mean(values):
        return torch.stack(values).mean(dim=0)

    # Processes average their losses, and with them the gradients of what they share.
    torch.testing.assert_close(mean([r['loss'] for r in together]), alone['loss'])
    for number, gradient in enumerate(alone['learnt']):
        torch.testing.assert_close(mean([r['learnt'][number] for r in together]), gradient)
    for number, gradient in enumerate(alone['rows']):  # a row belongs to one process
        assert gradient.abs().sum() > 0
        joined = torch.cat([r['rows'][number] for r in together]) / processes
        torch.testing.assert_close(joined, gradient)
