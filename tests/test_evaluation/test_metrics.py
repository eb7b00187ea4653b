"""Metric classes through MMEngine's Evaluator: the same numbers as the scorer on the written file."""

import json

import pytest
import torch
from mmengine.evaluator import Evaluator
from project import DGM4_METRICS

from mmvlforge.annotations.dgm4_record import IMAGE_TYPES, TEXT_TYPES, dgm4_class_map
from mmvlforge.evaluation import BinaryMetric, BoxMetric, ManipulationTypeMetric, TokenMetric
from mmvlforge.evaluation.manipulation import PROTOCOLS
from mmvlforge.evaluation.predictions import read_predictions
from mmvlforge.evaluation.scoring import score
from mmvlforge.registry import METRICS
from mmvlforge.structures import VLDataSample

META = dict(image_types=IMAGE_TYPES, text_types=TEXT_TYPES)
N = 60


def make_set():
    """Records of all nine classes with seeded float32 predictions."""
    rng = torch.Generator().manual_seed(0)

    def rand(*size):
        return torch.rand(*size, generator=rng)

    records, samples = [], []
    classes = list(dgm4_class_map().items())
    for i in range(N):
        name, (image_type, text_type) = classes[i % len(classes)]
        box = [i % 3 * 7, 3, 40 + i, 50] if image_type != 'real' else []
        words = [1, 3] if text_type != 'real' else []
        records.append(dict(image='x.jpg', text='a b c d e', fake_cls=name, fake_image_box=box, fake_text_pos=words))
        word_ids = [0, 1, 1, 2, 3, 3, 3] if i % 2 else [0, 1, 2, 3, 4]
        sample = VLDataSample(metainfo=dict(index=i, word_ids=word_ids, ori_shape=(60, 100)))
        sample.gt_fake = int(name != 'orig')
        sample.gt_image_type, sample.gt_text_type = IMAGE_TYPES.index(image_type), TEXT_TYPES.index(text_type)
        sample.gt_box = torch.tensor(box, dtype=torch.float32) if box else None
        sample.gt_tokens = torch.tensor([int(w in words) for w in word_ids])
        sample.pred_fake_score = rand(1).item()
        sample.pred_type_scores = torch.randn(4, generator=rng)
        corner = rand(2) * 30 - 10  # some reach beyond the picture
        sample.pred_box_raw = torch.cat([corner, corner + rand(2) * 60])
        sample.pred_no_box = dict(coord=i % 4 == 0, type=image_type == 'real')
        sample.pred_box = None if sample.pred_no_box['coord'] else sample.pred_box_raw
        sample.pred_tokens = (rand(len(word_ids)) > 0.5).long()
        samples.append(sample)
    # A box that has shrunk to a line in float32 is still a box.
    samples[1].pred_box = samples[1].pred_box_raw = torch.tensor([5.0, 3.0, 5.0, 20.0])
    return records, samples


def run(metrics, samples, meta=META, batch=7):
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = meta
    for start in range(0, len(samples), batch):
        evaluator.process(data_samples=samples[start : start + batch], data_batch={})
    return evaluator.evaluate(len(samples))


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_metrics_equal_the_scorer_on_the_written_file(tmp_path, protocol):
    records, samples = make_set()
    path = str(tmp_path / 'out' / 'predictions.jsonl')
    configs = [
        dict(type='BinaryMetric'),
        dict(type='ManipulationTypeMetric', per_class=True),
        dict(type='BoxMetric', protocol=protocol),
        dict(type='TokenMetric'),
        dict(type='PredictionWriter', out_file=path),
    ]
    found = run([METRICS.build(config) for config in configs], samples[::-1])
    scored = score(records, read_predictions(path)[0], protocol, per_class=True)
    rules = [f'{name}/{rule}_rule' for rule in ('coord', 'type') for name in DGM4_METRICS if name.startswith('IoU')]
    metrics = {key: scored[key] for key in [*DGM4_METRICS, *rules]}
    per_class = {f'AP/{name}': row['AP'] for name, row in scored['per_class'].items()}
    assert found == {**metrics, **per_class}
    assert found['IoUmean/coord_rule'] == found['IoUmean'] != found['IoUmean/type_rule']


def test_boxes_are_scored_as_they_are_under_dgm4_and_cut_under_strict():
    _, samples = make_set()
    cut = [sample.clone() for sample in samples]
    for sample in cut:
        sample.pred_box_raw = torch.maximum(sample.pred_box_raw, torch.zeros(4)).minimum(torch.tensor([100, 60] * 2))
        sample.pred_box = None if sample.pred_box is None else sample.pred_box_raw
    found, by_hand = (run([BoxMetric(protocol='strict')], s) for s in (samples, cut))
    assert found == by_hand
    assert run([BoxMetric()], samples)['IoUmean_boxed'] < run([BoxMetric()], cut)['IoUmean_boxed']


def test_a_head_without_rules_has_the_metrics_of_its_boxes_alone():
    _, samples = make_set()
    whole = run([BoxMetric()], samples)
    del samples[3].pred_no_box
    with pytest.raises(ValueError, match=r"pred_no_box: some samples have other rules .*\['coord', 'type'\]"):
        run([BoxMetric()], samples)
    for sample in samples:
        if 'pred_no_box' in sample:
            del sample.pred_no_box
    found = run([BoxMetric()], samples)
    assert found == {name: whole[name] for name in DGM4_METRICS if name.startswith('IoU')}


def test_written_file_is_sorted_and_exact(tmp_path):
    _, samples = make_set()
    path = tmp_path / 'p.jsonl'
    assert run([METRICS.build(dict(type='PredictionWriter', out_file=str(path)))], samples[::-1]) == {}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row['index'] for row in rows] == list(range(N))
    first = ['index', 'fake_score', 'type_scores', 'box', 'no_box']
    assert list(rows[3]) == [*first, 'size', 'word_ids', 'fake_tokens']
    # Row 4 has no box by one rule and one by the other; row 0 has none by either.
    assert list(rows[4]) == [*first, 'raw_box', 'size', 'word_ids', 'fake_tokens']
    assert list(rows[0]) == list(rows[3])
    assert (rows[4]['box'], rows[4]['raw_box']) == (None, samples[4].pred_box_raw.double().tolist())
    assert (rows[4]['no_box'], rows[4]['size']) == (dict(coord=True, type=False), [100, 60])
    assert list(rows[3]['type_scores']) == [*IMAGE_TYPES[1:], *TEXT_TYPES[1:]]
    assert list(rows[3]['type_scores'].values()) == samples[3].pred_type_scores.double().tolist()
    assert rows[3]['box'] == samples[3].pred_box.double().tolist()
    assert rows[0]['box'] is None
    assert rows[1]['box'][0] < rows[1]['box'][2] < 5.00001


@pytest.mark.parametrize(
    ('row', 'change', 'told'),
    [
        (3, dict(pred_box=None), 'box: is null, while by .* every rule finds a box'),
        (3, dict(pred_no_box=dict(coord=True, type=True)), 'box: is .*, while by .* no rule finds a box; must then be'),
        (3, dict(pred_box=torch.tensor([0.0, 0.0, 1.0, 1.0])), 'raw_box: is .*, box is .*; must be equal'),
        (0, dict(pred_no_box=dict(coord=False, type=False)), 'box: is null, while by .* every rule finds a box'),
    ],
)
def test_what_nobody_could_score_is_not_written(tmp_path, row, change, told):
    _, samples = make_set()
    for field, value in change.items():
        setattr(samples[row], field, value)
    with pytest.raises(ValueError, match=f'sample {row}: {told}'):
        run([METRICS.build(dict(type='PredictionWriter', out_file=str(tmp_path / 'p.jsonl')))], samples)
    assert not (tmp_path / 'p.jsonl').exists()


def test_a_part_without_a_head_is_in_no_row_and_a_part_of_some_samples_is_an_error(tmp_path):
    records, samples = make_set()
    path = tmp_path / 'p.jsonl'
    for sample in samples[1:]:
        del sample.pred_box
    with pytest.raises(ValueError, match='sample 1: has no prediction of box, no_box, other samples do'):
        run([METRICS.build(dict(type='PredictionWriter', out_file=str(path)))], samples)
    del samples[0].pred_box
    run([METRICS.build(dict(type='PredictionWriter', out_file=str(path)))], samples)
    rows, _ = read_predictions(path)
    assert not any('box' in row for row in rows)
    assert [name for name in DGM4_METRICS if name not in score(records, rows)] == [
        name for name in DGM4_METRICS if name.startswith('IoU')
    ]


def test_rows_of_several_sets_are_not_mixed_in_one_file(tmp_path):
    _, samples = make_set()
    with pytest.raises(ValueError, match='row 0 was predicted twice: .* test each by itself'):
        run([METRICS.build(dict(type='PredictionWriter', out_file=str(tmp_path / 'p.jsonl')))], samples + samples[:2])
    assert not (tmp_path / 'p.jsonl').exists()


def test_a_repeated_sample_at_the_end_is_cut(tmp_path):
    # A distributed sampler repeats samples so that all processes have as many; the evaluator drops them.
    _, samples = make_set()
    expected = run([BinaryMetric(), TokenMetric()], samples)
    evaluator = Evaluator([BinaryMetric(), TokenMetric()])
    evaluator.process(data_samples=samples + samples[:1], data_batch={})
    assert evaluator.evaluate(N) == expected


@pytest.mark.parametrize(
    ('metric', 'field', 'head'),
    [
        (BinaryMetric, 'pred_fake_score', 'the binary head'),
        (ManipulationTypeMetric, 'pred_type_scores', 'the manipulation type head'),
        (BoxMetric, 'pred_box', 'the box head'),
        (TokenMetric, 'pred_tokens', 'the token head'),
    ],
)
def test_missing_prediction_names_field_and_head(metric, field, head):
    _, samples = make_set()
    delattr(samples[2], field)
    with pytest.raises(ValueError, match=f"sample 2: no field '{field}', which {head} writes"):
        run([metric()], samples)


@pytest.mark.parametrize(
    ('metric', 'field', 'value'),
    [
        (BinaryMetric, 'pred_fake_score', float('nan')),
        (ManipulationTypeMetric, 'pred_type_scores', torch.tensor([0, 0, float('inf'), 0])),
        (BoxMetric, 'pred_box', torch.tensor([0, 0, float('nan'), 1])),
    ],
)
def test_values_that_are_no_numbers_name_the_sample(metric, field, value):
    _, samples = make_set()
    setattr(samples[5], field, value)
    with pytest.raises(ValueError, match=f'sample 5: {field} is .*must be finite'):
        run([metric()], samples)


def test_values_out_of_shape_name_the_sample():
    _, samples = make_set()
    samples[1].pred_fake_score = 1.25
    samples[2].pred_type_scores = torch.zeros(3)
    samples[3].pred_box = torch.tensor([9.0, 0, 1, 5])
    samples[4].pred_tokens = torch.zeros(2, dtype=torch.long)
    for metric, message in [
        (BinaryMetric(), 'sample 1: pred_fake_score is 1.25'),
        (ManipulationTypeMetric(), r'sample 2: pred_type_scores has shape \(3,\), the data set has 4 types'),
        (BoxMetric(), 'sample 3: pred_box is .*x1 < x2'),
        (TokenMetric(), r'sample 4: pred_tokens has shape \(2,\), word_ids has 5 tokens'),
    ]:
        with pytest.raises(ValueError, match=message):
            run([metric], samples)


def test_other_numbers_of_types():
    sample = VLDataSample(metainfo=dict(index=0))
    sample.gt_image_type, sample.gt_text_type, sample.pred_type_scores = 0, 1, torch.tensor([0.5])
    meta = dict(image_types=('real',), text_types=('real', 'text_swap'))
    assert run([ManipulationTypeMetric(per_class=True)], [sample], meta) == {
        'mAP': 100,
        'CF1': 100,
        'OF1': 100,
        'AP/text_swap': 100,
    }


def test_half_precision_scores_are_read():
    _, samples = make_set()
    for sample in samples:
        sample.pred_type_scores = sample.pred_type_scores.bfloat16()
    assert 0 < run([ManipulationTypeMetric()], samples)['mAP'] < 100


def test_unknown_protocol_is_refused_when_built():
    with pytest.raises(ValueError, match="'loose' is unknown"):
        BoxMetric(protocol='loose')
