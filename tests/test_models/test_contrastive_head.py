"""InfoNCE with queues: numbers by hand, wrap-around, several processes."""

import math

import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import distributed

from mmvlforge.models.heads import ContrastiveHead
from mmvlforge.structures import RetrievalFeatures

DIMS = 4


def unit(*shape, seed):
    return F.normalize(torch.randn(*shape, DIMS, generator=torch.Generator().manual_seed(seed)), dim=-1)


def pairs(count, seed=0):
    return RetrievalFeatures(unit(count, seed=seed), unit(count, seed=seed + 1))


def head_of(queue_size=6, **kwargs):
    torch.manual_seed(0)
    return ContrastiveHead(embed_dims=DIMS, queue_size=queue_size, **kwargs)


def info_nce(queries, candidates, positives, temperature=0.07):
    """Eq. 3 by plain loops; ``positives``: a list of columns for each query."""
    losses = []
    for query, columns in zip(queries.double(), positives):
        scores = [math.exp(float(query @ c) / temperature) for c in candidates.double()]
        losses.append(-sum(math.log(scores[k] / sum(scores)) for k in columns) / len(columns))
    return sum(losses) / len(losses)


def test_loss_of_a_batch_against_itself_and_the_queues():
    head, features, keys = head_of(), pairs(3), pairs(3, seed=5)
    texts, images = torch.cat([keys.text, head.text_queue]), torch.cat([keys.image, head.image_queue])
    own = [[0], [1], [2]]
    expected = (info_nce(features.image, texts, own) + info_nce(features.text, images, own)) / 2
    loss = head.loss(features, keys, torch.tensor([7, 7, 8]))['loss_align']  # ids do not matter by default
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_all_captions_of_the_picture_are_positives_in_batch_and_queue():
    head, features, keys = head_of(multi_positive=True), pairs(3), pairs(3, seed=5)
    head.id_queue[2] = 8
    texts, images = torch.cat([keys.text, head.text_queue]), torch.cat([keys.image, head.image_queue])
    positives = [[0, 1], [0, 1], [2, 3 + 2]]
    expected = (info_nce(features.image, texts, positives) + info_nce(features.text, images, positives)) / 2
    loss = head.loss(features, keys, torch.tensor([7, 7, 8]))['loss_align']
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_distillation_ramps_over_its_steps():
    features, keys, ids = pairs(3), pairs(3, seed=5), torch.arange(3)
    hard = head_of().loss(features, keys, ids)['loss_align']
    head = head_of(distill_alpha=0.4, distill_ramp=2)
    texts, images = torch.cat([keys.text, head.text_queue]), torch.cat([keys.image, head.image_queue])

    def soft(queries, own, candidates):
        target = (own @ candidates.T / 0.07).softmax(dim=1)
        return -(target * (queries @ candidates.T / 0.07).log_softmax(dim=1)).sum(dim=1).mean()

    full = (soft(features.image, keys.image, texts) + soft(features.text, keys.text, images)) / 2
    for step, alpha in enumerate([0.0, 0.2, 0.4, 0.4]):
        fresh = head_of(distill_alpha=0.4, distill_ramp=2)
        fresh.steps.fill_(step)
        torch.testing.assert_close(
            fresh.loss(features, keys, ids)['loss_align'], (1 - alpha) * hard + alpha * full, atol=1e-5, rtol=0
        )
        assert fresh.steps == step + 1


def test_hard_texts_are_one_more_negative_of_their_own_picture():
    features, keys, ids = pairs(2), pairs(2, seed=5), torch.arange(2)
    hard, mask = unit(2, seed=9), torch.tensor([True, False])
    head = head_of()
    texts, images = torch.cat([keys.text, head.text_queue]), torch.cat([keys.image, head.image_queue])
    to_text = [
        info_nce(features.image[:1], torch.cat([texts, hard[:1]]), [[0]]),
        info_nce(features.image[1:], texts, [[1]]),
    ]
    expected = (sum(to_text) / 2 + info_nce(features.text, images, [[0], [1]])) / 2
    loss = head.loss(features, keys, ids, hard_texts=hard, hard_mask=mask)['loss_align']
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('sizes', [[4, 4, 4], [5, 3, 1], [7], [6, 2], [20]])
def test_queue_takes_any_batch_and_keeps_the_newest(sizes):
    head, history = head_of(), []
    first = head.text_queue.clone()
    for step, size in enumerate(sizes):
        keys = pairs(size, seed=10 + step)
        ids = 100 * step + torch.arange(size)
        head.loss(pairs(size), keys, ids)
        history += list(zip(ids.tolist(), keys.image, keys.text))
    place = sum(sizes) % 6
    assert head.next_key == place
    newest = dict(enumerate(history))  # number of the key → key
    for row in range(6):
        numbers = [n for n in newest if n % 6 == row]
        if numbers:
            number, image, text = newest[numbers[-1]]
            assert head.id_queue[row] == number
            assert torch.equal(head.image_queue[row], image) and torch.equal(head.text_queue[row], text)
        else:
            assert head.id_queue[row] == -1 and torch.equal(head.text_queue[row], first[row])


def test_temperature_is_learnt_and_kept_in_range():
    head = head_of()
    assert head.temperature.item() == pytest.approx(0.07)
    head.loss(pairs(3), pairs(3, seed=5), torch.arange(3))['loss_align'].backward()
    assert head.temperature.grad.abs() > 0
    for value, kept in ((0.9, 0.5), (-1.0, 0.001)):
        head.temperature.data.fill_(value)
        head.loss(pairs(3), pairs(3, seed=5), torch.arange(3))
        assert head.temperature.item() == pytest.approx(kept)


def test_autocast_does_not_coarsen_the_similarities():
    features, keys, ids = pairs(3), pairs(3, seed=5), torch.arange(3)
    expected = head_of().loss(features, keys, ids)['loss_align']
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(head_of().loss(features, keys, ids)['loss_align'], expected)


def test_state_resumes():
    head = head_of()
    for step in range(2):
        head.loss(pairs(4), pairs(4, seed=10 + step), torch.arange(4))
    other = head_of()
    other.load_state_dict(head.state_dict())
    losses = [h.loss(pairs(4), pairs(4, seed=20), torch.arange(4))['loss_align'] for h in (head, other)]
    assert torch.equal(*losses)
    assert all(torch.equal(a, b) for a, b in zip(head.state_dict().values(), other.state_dict().values()))


SHARES = {1: [9], 2: [4, 5], 3: [3, 1, 5]}  # rows of each rank; the queue of 6 is divided by none


def work(rank, processes, store, out, multi_positive):
    """One process: three steps on its share of nine pairs."""
    distributed.init_process_group('gloo', init_method=f'file://{store}', rank=rank, world_size=processes)
    start = sum(SHARES[processes][:rank])
    own = slice(start, start + SHARES[processes][rank])
    head, losses = head_of(multi_positive=multi_positive), []
    for step in range(3):
        features, keys, ids = pairs(9, seed=step), pairs(9, seed=10 + step), torch.arange(9) // 2
        part = [RetrievalFeatures(*(t[own] for t in group)) for group in (features, keys)]
        losses.append(head.loss(*part, ids[own])['loss_align'].item() * len(ids[own]))
    torch.save(dict(losses=losses, state=head.state_dict()), f'{out}/{rank}.pth')
    distributed.destroy_process_group()


@pytest.mark.parametrize(('processes', 'multi_positive'), [(2, True), (3, True), (3, False)])
def test_several_processes_are_as_one(tmp_path, processes, multi_positive):
    results = {}
    for count in (1, processes):
        out = tmp_path / str(count)
        out.mkdir()
        mp.spawn(work, (count, str(out / 'store'), str(out), multi_positive), nprocs=count)
        results[count] = [torch.load(out / f'{rank}.pth') for rank in range(count)]
    (alone,) = results[1]
    for together in results[processes]:
        for name, value in together['state'].items():  # queues in the order of the ranks, on every rank
            assert torch.equal(value, alone['state'][name]), name
    sums = torch.tensor([r['losses'] for r in results[processes]]).sum(dim=0)
    torch.testing.assert_close(sums, torch.tensor(alone['losses']), rtol=1e-5, atol=0)
