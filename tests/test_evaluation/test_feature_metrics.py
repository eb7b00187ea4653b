"""Retrieval metric classes: the functions' numbers, in any order, on any number of processes."""

import json
import os

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator

from mmvlforge.evaluation import ImageTextRecall, PairwiseCaptionMetric, TextToVideoRecall, WinogroundMetric
from mmvlforge.evaluation.metrics import pairwise_caption_metric
from mmvlforge.evaluation.retrieval import (
    image_text_metrics,
    pairwise_metrics,
    text_to_video_metrics,
    winoground_metrics,
)
from mmvlforge.registry import METRICS

CATEGORIES = ('add_att', 'add_obj', 'replace_rel', 'swap_obj')
# metric → pictures a sample, captions a sample (of which the recall metrics take any number)
CASES = {
    'ImageTextRecall': (1, None),
    'TextToVideoRecall': (8, 1),
    'WinogroundMetric': (2, 2),
    'PairwiseCaptionMetric': (1, 2),
}


def make_samples(kind, n):
    """n samples whose features are small integers, so that many scores tie."""
    rng = np.random.default_rng(n)
    images, captions = CASES[kind]
    return [
        dict(
            index=i,
            num_images=images,
            tag=('Object', 'Relation', 'Both')[i % 3],
            num_main_preds=1 + i % 2,
            category=CATEGORIES[i % len(CATEGORIES)],
            pred_image_feats=torch.from_numpy(rng.integers(1, 4, (images, 3)).astype(np.float32)),
            pred_text_feats=torch.from_numpy(
                rng.integers(1, 4, (captions or 1 + i % 3, 3)).astype(np.float32)  # 1, 2 or 3 captions
            ),
        )
        for i in range(n)
    ]


def expected_metrics(kind, samples):
    images = [s['pred_image_feats'].numpy() for s in samples]
    texts = [s['pred_text_feats'].numpy() for s in samples]
    if kind == 'ImageTextRecall':
        owner = [i for i, rows in enumerate(texts) for _ in rows]
        return image_text_metrics(np.concatenate(images), np.concatenate(texts), owner)
    if kind == 'TextToVideoRecall':
        return text_to_video_metrics(images, np.concatenate(texts), np.arange(len(texts)))
    if kind == 'WinogroundMetric':
        preds = [s['num_main_preds'] for s in samples]
        return winoground_metrics(np.stack(images), np.stack(texts), [s['tag'] for s in samples], preds)
    return pairwise_metrics(np.concatenate(images), np.stack(texts), [s['category'] for s in samples])


def run(metric, samples, size=None, batch=3):
    evaluator = Evaluator(metric)
    for start in range(0, len(samples), batch):
        evaluator.process(data_samples=samples[start : start + batch], data_batch={})
    return evaluator.evaluate(len(samples) if size is None else size)


@pytest.mark.parametrize('kind', CASES)
def test_metric_equals_function_in_any_order(kind):
    samples = make_samples(kind, 25)
    expected = expected_metrics(kind, samples)
    assert run(METRICS.build(dict(type=kind)), samples) == expected
    shuffled = [samples[i] for i in np.random.default_rng(0).permutation(25)]
    assert run(METRICS.build(dict(type=kind)), shuffled) == expected
    # Repeated ones in the middle as well as at the end, and the same metric again for the next epoch.
    metric = METRICS.build(dict(type=kind))
    repeated = samples[:4] + samples[2:] + samples[:2]
    assert run(metric, repeated, size=25) == expected
    assert run(metric, shuffled) == expected


def on_processes(rank, world_sizes, sizes, out):
    """Evaluate in groups of 1 to 4 processes, each with its part of the set as the loader's sampler deals it."""
    os.chdir(out)
    torch.set_num_threads(1)
    results = {}
    for world in world_sizes:
        if rank >= world:
            continue
        dist.init_process_group('gloo', init_method=f'file://{out}/world{world}', rank=rank, world_size=world)
        for kind in CASES:
            for size in sizes:
                samples = make_samples(kind, size)
                for round_up in (True, False):
                    mine = DefaultSampler(samples, shuffle=False, round_up=round_up)
                    found = run(METRICS.build(dict(type=kind)), [samples[i] for i in mine], size)
                    results[f'{kind} {world} {size} {round_up}'] = found
        dist.destroy_process_group()
    with open(f'{out}/rank{rank}.json', 'w') as file:
        json.dump(results, file)


def test_any_number_of_processes_gives_the_numbers_of_one(tmp_path):
    worlds, sizes = (1, 2, 3, 4), (10, 13, 3)  # 3 samples on 4 processes: one has none of its own
    mp.spawn(on_processes, (worlds, sizes, str(tmp_path)), nprocs=4)
    by_rank = [json.loads((tmp_path / f'rank{rank}.json').read_text()) for rank in range(4)]
    assert len(by_rank[3]) == len(CASES) * len(sizes) * 2
    for kind in CASES:
        for size in sizes:
            expected = expected_metrics(kind, make_samples(kind, size))
            for world in worlds:
                for round_up in (True, False):
                    for rank in range(world):
                        assert by_rank[rank][f'{kind} {world} {size} {round_up}'] == expected


def test_a_lost_sample_is_an_error():
    samples = make_samples('ImageTextRecall', 5)
    with pytest.raises(ValueError, match='ImageTextRecall: 4 different samples were predicted, the set has 5'):
        run(ImageTextRecall(), samples[:4] + samples[:1], size=5)


@pytest.mark.parametrize(
    ('metric', 'field', 'source'),
    [
        (ImageTextRecall, 'pred_image_feats', "the model's predict"),
        (TextToVideoRecall, 'pred_text_feats', "the model's predict"),
        (WinogroundMetric, 'tag', 'the data set'),
        (WinogroundMetric, 'num_main_preds', 'the data set'),
        (PairwiseCaptionMetric, 'category', 'the data set'),
    ],
)
def test_missing_field_is_named(metric, field, source):
    samples = make_samples(metric.__name__, 3)
    del samples[1][field]
    with pytest.raises(ValueError, match=f"sample 1: no field '{field}', which {source} writes"):
        run(metric(), samples)


def test_excluded_categories_do_not_count():
    samples = make_samples('PairwiseCaptionMetric', 11)
    kept = [s for s in samples if s['category'] != 'add_obj']
    again = [dict(s, index=i) for i, s in enumerate(kept)]
    found = run(PairwiseCaptionMetric(means='macro', exclude=['add_obj', 'of no sample']), samples)
    assert found == run(PairwiseCaptionMetric(means='macro'), again)
    assert set(found) == {'add_att', 'replace_rel', 'swap_obj', 'macro'}
    # 3, 3, 3 and 2 samples.
    assert run(PairwiseCaptionMetric(means='macro', min_samples=3), samples) == run(
        PairwiseCaptionMetric(means='macro', exclude=['swap_obj']), samples
    )
    with pytest.raises(ValueError, match='none of the 11 samples is left: every category .* min_samples=4 samples'):
        run(PairwiseCaptionMetric(min_samples=4), samples)


def test_any_number_of_captions_where_it_is_asked_for():
    samples = make_samples('PairwiseCaptionMetric', 6)
    samples[1]['pred_text_feats'] = torch.ones(5, 3)
    for sample in samples:
        sample['category'] = 'order'
    texts = [s['pred_text_feats'].numpy() for s in samples]
    images = np.concatenate([s['pred_image_feats'].numpy() for s in samples])
    won = [max(t[1:] @ i) < t[0] @ i for t, i in zip(texts, images)]
    assert run(PairwiseCaptionMetric(num_captions=None), samples) == {'order': pytest.approx(100 * np.mean(won))}


def test_samples_without_a_false_caption_are_told(monkeypatch):
    """Of ARO's order a shuffle can give the caption back; what is right without a choice must not be silent."""
    told = []
    monkeypatch.setattr(pairwise_caption_metric, 'print_log', lambda message, **_: told.append(message))
    samples = make_samples('PairwiseCaptionMetric', 8)
    metric = PairwiseCaptionMetric(num_captions=None, exclude=['swap_obj'])
    before = run(metric, samples)
    assert told == []
    for i in (3, 4, 5):  # sample 3 is of the category that does not count
        samples[i]['pred_text_feats'] = samples[i]['pred_text_feats'][:1]
    assert run(metric, samples) != before
    assert told == ['2 of 6 samples have no false caption and count as won, the first is sample 4']


@pytest.mark.parametrize('value', [torch.tensor([[1.0, float('nan')]]), torch.ones(3)])
def test_features_must_be_finite_rows(value):
    samples = make_samples('ImageTextRecall', 3)
    samples[2]['pred_image_feats'] = value
    with pytest.raises(ValueError, match='sample 2: pred_image_feats of shape .* must be finite rows'):
        run(ImageTextRecall(), samples)


@pytest.mark.parametrize(
    ('metric', 'field', 'message'),
    [
        (ImageTextRecall, 'pred_image_feats', '9 images, must be 1'),
        (WinogroundMetric, 'pred_image_feats', '9 images, must be 2'),
        (WinogroundMetric, 'pred_text_feats', '9 captions, must be 2'),
        (PairwiseCaptionMetric, 'pred_text_feats', '9 captions, must be 2'),
    ],
)
def test_groups_of_another_size_are_refused(metric, field, message):
    samples = make_samples(metric.__name__, 3)
    samples[1][field] = torch.ones(9, 3)
    with pytest.raises(ValueError, match=f'sample 1: {message}'):
        run(metric(), samples)


def test_bfloat16_features_and_prefix():
    samples = make_samples('PairwiseCaptionMetric', 8)
    expected = expected_metrics('PairwiseCaptionMetric', samples)
    for sample in samples:
        sample['pred_text_feats'] = sample['pred_text_feats'].bfloat16()
    assert run(PairwiseCaptionMetric(prefix='sugarcrepe'), samples) == {
        f'sugarcrepe/{name}': value for name, value in expected.items()
    }


def test_setting_of_means():
    found = run(PairwiseCaptionMetric(means='macro'), make_samples('PairwiseCaptionMetric', 8))
    assert sorted(found) == [*CATEGORIES[:2], 'macro', *CATEGORIES[2:]]
    with pytest.raises(ValueError, match="PairwiseCaptionMetric: means 'aro' is unknown"):
        PairwiseCaptionMetric(means='aro')


@pytest.mark.parametrize('kind', ['ImageTextRecall', 'TextToVideoRecall'])
def test_a_sample_without_captions_is_named(kind):
    samples = make_samples(kind, 4)
    samples[2]['pred_text_feats'] = torch.zeros(0, 3)
    metric = METRICS.build(dict(type=kind))
    metric.process({}, samples)
    with pytest.raises(ValueError, match=r'sample 2 has no caption \(1 such samples\): recall needs captions'):
        metric.evaluate(4)
