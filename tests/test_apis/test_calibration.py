"""A detector's calibration: learnt, kept beside the weights, and what its verdicts then mean."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmvlforge import ManipulationInferencer
from mmvlforge.apis.calibration import (
    CALIBRATION,
    LearntCalibration,
    learn_calibration,
    read_calibration,
    told_of_calibration,
    write_calibration,
)
from mmvlforge.apis.manipulation import COPIES
from mmvlforge.evaluation.calibration import fit_calibration, log_odds, scaled, share


@pytest.fixture(scope='module')
def raw(detector) -> ManipulationInferencer:
    return ManipulationInferencer(detector)


@pytest.fixture(scope='module')
def pairs(mini_set) -> list:
    records = json.loads((mini_set / 'metadata/test.json').read_text())
    return [(str(mini_set / record['image']), record['text']) for record in records]


def made(low: float, high: float, temperature: float = 2.0) -> LearntCalibration:
    """A calibration with such a band; all else of 60 made-up pairs."""
    labels = np.arange(60) % 2 == 0
    logits = np.where(labels, 1.0, -1.0) + np.linspace(-2, 2, 60)
    fitted = fit_calibration(1 / (1 + np.exp(-logits)), labels, dict(face_swap=(logits, labels)), 0.1)
    fitted = fitted._replace(temperature=temperature, lower=low, threshold=high, false_alarms=share(2, 30))
    return LearntCalibration(fitted, dict(set='val', pairs=60, fakes=30, left_out=0, false_alarms=0.1, seed=0))


@pytest.fixture
def calibrated(detector, raw, tmp_path):
    """Make a detector with a band of its own."""

    def make(low: float, high: float, **settings) -> ManipulationInferencer:
        folder = tmp_path / f'{low}_{high}'
        shutil.copytree(detector, folder)
        write_calibration(made(low, high), raw.trained.fingerprint, folder / CALIBRATION)
        return ManipulationInferencer(folder, **settings)

    return make


def test_it_is_learnt_from_the_validation_set(raw):
    with pytest.raises(ValueError, match='val_dataloader, 9 pairs that can be judged: .* too few .*--pairs 0 leaves'):
        learn_calibration(raw)
    learnt = learn_calibration(raw, false_alarms=0.5)
    assert learnt.protocol == dict(
        set='val_dataloader of tiny.py', pairs=9, fakes=learnt.protocol['fakes'], left_out=0, false_alarms=0.5, seed=0
    )
    cfg = raw.trained.cfg.val_dataloader.dataset
    records = json.loads(Path(cfg.data_root, cfg.ann_file).read_text())
    assert learnt.protocol['fakes'] == sum(record['fake_cls'] != 'orig' for record in records)
    # by hand, with the scores of a run of its own
    answers = raw([(f'{cfg.data_root}{record["image"]}', record['text']) for record in records])['predictions']
    labels = np.array([record['fake_cls'] != 'orig' for record in records])
    by_hand = fit_calibration(np.array([answer['fake_score'] for answer in answers]), labels, {}, 0.5)
    assert learnt.fitted.temperature == pytest.approx(by_hand.temperature, rel=1e-3)
    assert learnt.fitted.threshold == pytest.approx(by_hand.threshold, abs=1e-4)
    swaps = np.array(['face_swap' in record['fake_cls'] for record in records])
    odds = log_odds(np.array([answer['types']['face_swap'] for answer in answers]))
    one = fit_calibration(np.full(9, 0.5), labels, dict(face_swap=(odds, swaps)), 0.5)
    assert learnt.fitted.type_temperatures['face_swap'] == pytest.approx(one.type_temperatures['face_swap'], rel=1e-3)
    assert any('calibrated on 9 pairs' in line for line in told_of_calibration(learnt))
    assert raw.stability and raw.provenance  # as before


def test_a_file_is_read_as_it_was_written_and_belongs_to_its_weights(tmp_path):
    path = tmp_path / CALIBRATION
    learnt = made(0.3, 0.7)
    write_calibration(learnt, 'abc', path)
    assert read_calibration(path) == read_calibration(path, 'abc') == learnt
    with pytest.raises(ValueError, match='calibration.json: was made for other weights; export the model again'):
        read_calibration(path, 'abd')


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (dict(schema='mmvlforge.calibration/2'), r'no such file as mmvlforge export writes'),
        (dict(temperature=0), r'0 must be a number from 0.01 to 100'),
        (dict(temperature=True), r'True must be a number'),
        (dict(threshold=float('nan')), r'nan must be a number from 0.5 to 1'),
        (dict(lower=0.6), r'0.6 must be a number from 0 to 0.5'),
        (dict(bins=[]), r'has 0 bins, must have 10'),
        (dict(bins=[1]), r'is damaged \(TypeError'),
        (dict(misses=None), r'is damaged \(TypeError'),
        (dict(type_temperatures=[]), r'is damaged \(AttributeError'),
        (dict(threshold_interval=[0.5]), r'is damaged \(IndexError'),
        (dict(protocol={}), r"is damaged \(KeyError: 'pairs'"),
    ],
)
def test_a_damaged_file_is_told(tmp_path, change, told):
    path = tmp_path / CALIBRATION
    write_calibration(made(0.3, 0.7), 'abc', path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=f'calibration.json: {told}'):
        read_calibration(path)


def test_scores_and_types_are_scaled(calibrated, raw, pairs):
    check = calibrated(0.3, 0.7)
    found, plain = (ask(pairs[0])['predictions'][0] for ask in (check, raw))
    assert found['calibrated'] and (found['threshold'], found['inconclusive_band']) == (0.7, [0.3, 0.7])
    assert not plain['calibrated'] and plain['threshold'] is plain['inconclusive_band'] is None
    assert found['fake_score'] == pytest.approx(scaled(log_odds(plain['fake_score']), 2.0))
    for name, value in plain['stability'].items():
        assert found['stability'][name] == pytest.approx(scaled(log_odds(value), 2.0))
    temperature = check.calibration.type_temperatures['face_swap']
    types = {name: scaled(log_odds(value), 1.0) for name, value in plain['types'].items()}
    types['face_swap'] = scaled(log_odds(plain['types']['face_swap']), temperature)
    assert found['types'] == pytest.approx(types)
    assert not any('scores are raw' in warning for warning in found['warnings'])
    others = 'face attribute, text swap, text attribute'
    assert f'not calibrated, for want of such pairs: {others}' in found['warnings']
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_verdicts_follow_the_band(calibrated, raw, pairs):
    pair = next(pair for pair in pairs if raw(pair)['predictions'][0]['fake_score'] < 0.5)  # calibrated 0.4 or so
    for low, high, verdict, told in (
        (0.01, 0.99, 'inconclusive', 'between 0.01 and 0.99 this model is too often wrong to say'),
        (0.5, 0.5, 'real', 'below 0.50, as '),
        (0.0, 0.5, 'inconclusive', 'between 0.00 and 0.50'),
    ):
        check = calibrated(low, high)
        found = check(pair)['predictions'][0]
        assert found['verdict'] == verdict, (low, high, found)
        assert any(line.startswith(told) for line in check.explain(found))
        if verdict == 'real':
            near = check.calibration.bin_of(found['fake_score'])
            (line,) = [line for line in check.explain(found) if 'validation set' in line]
            assert line == check.meaning(found)
            assert (
                f'{near.pairs} pairs of the validation set' in line
                and f'from {near.low:.1f} to {near.high:.1f}' in line
            )


def test_what_turns_the_verdict_makes_it_inconclusive(calibrated, raw, pairs):
    """With a threshold between a pair's score and that of a copy."""
    results = raw(pairs)['predictions']
    scores = [(result['fake_score'], result['stability']['recompressed'], row) for row, result in enumerate(results)]
    own, other, row = max(scores, key=lambda found: abs(found[0] - found[1]))
    assert own != other
    # raw scores are compared at 0.5, which a shift of the log-odds would reach: the classifier's bias is moved
    bias = raw.model.binary_head.classifier[-1].bias
    before = bias.detach().clone()
    middle = (log_odds(own) + log_odds(other)) / 2
    try:
        bias.data[1] -= float(middle)
        turned = raw(pairs[row])['predictions'][0]
        raw.stability = False
        alone = raw(pairs[row])['predictions'][0]
    finally:
        bias.data.copy_(before)
        raw.stability = True
    assert (turned['fake_score'] > 0.5) != (turned['stability']['recompressed'] > 0.5)
    assert turned['verdict'] == 'inconclusive'
    score = turned['stability']['recompressed']
    assert f'{COPIES["recompressed"]} turns the verdict: P(fake) becomes {score:.3f}' in turned['warnings']
    assert alone['verdict'] == ('fake' if own > other else 'real') and alone['stability'] is None
    assert not any('turns the verdict' in warning for warning in alone['warnings'])


def test_copies_are_what_such_files_would_be(raw, pairs, tmp_path):
    image, caption = pairs[0]
    found = raw((image, caption))['predictions'][0]
    img = cv2.imread(image)
    cv2.imwrite(str(tmp_path / 'small.jpg'), img, [cv2.IMWRITE_JPEG_QUALITY, 75])
    size = round(img.shape[1] * 0.75), round(img.shape[0] * 0.75)
    cv2.imwrite(str(tmp_path / 'small.png'), cv2.resize(img, size, interpolation=cv2.INTER_AREA))
    files = [(tmp_path / name, caption) for name in ('small.jpg', 'small.png')]
    expected = [result['fake_score'] for result in raw(files)['predictions']]
    assert [*found['stability'].values()] == pytest.approx(expected, abs=1e-5)
    assert list(found['stability']) == list(COPIES)


def test_a_model_without_calibration_is_no_firmer_than_its_score(raw, pairs):
    found = raw(pairs[0])['predictions'][0]
    assert found['warnings'][0] == 'not calibrated: scores are raw' and raw.meaning(found) == ''
    assert not any('validation' in line for line in raw.explain(found))


def test_a_score_that_is_none_is_an_error_of_its_pair(raw, pairs):
    bias = raw.model.binary_head.classifier[-1].bias
    before = bias.detach().clone()
    try:
        bias.data[1] = float('nan')
        with pytest.raises(ValueError, match=r'the model gave nan in place of P\(fake\)'):
            raw(pairs[0])
        (result,) = raw.stream([pairs[0]])
    finally:
        bias.data.copy_(before)
    assert result['error'] == 'the model gave nan in place of P(fake)' and result['fake_score'] is None
