"""DGM4Dataset: labels, settings, what it does with bad records, and memory."""

import functools
import json
import logging
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader
from torchvision.ops import box_convert

from mmvlforge.datasets import DGM4Dataset
from mmvlforge.datasets.transforms import WordTokenizer
from mmvlforge.evaluation import BoxMetric
from mmvlforge.evaluation.samples import joined_sample, prediction_error, prediction_row
from mmvlforge.evaluation.scoring import join, score
from mmvlforge.registry import MODELS

PACK = [dict(type='LoadImage'), dict(type='PackManipulationInputs')]


def log_of(call):
    """Run ``call`` and return what it logged."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda entry: lines.append(entry.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        result = call()
    finally:
        logger.removeHandler(handler)
    return result, lines


def test_labels_of_one_record(build, record):
    fake = record(
        image='p.png',
        text='at 41st st',
        fake_cls='face_attribute&text_swap',
        fake_image_box=[4, 3, 20, 18],
        fake_text_pos=[1],
    )
    item = build([record(), fake], PACK)[1]
    # One token for the space before a word and one a byte: "41st" is word 1, although the regular expression of
    # byte-level tokenizers splits it in two.
    assert item['data_samples'].word_ids == [0] * 3 + [1] * 5 + [2] * 3
    assert item['targets']['tokens'].tolist() == [-100] + [0] * 3 + [1] * 5 + [0] * 3 + [-100]
    assert item['inputs']['word_mask'].tolist() == [False] + [True] * 11 + [False]
    targets = item['targets']
    assert (targets['fake'], targets['image_type'], targets['text_type']) == (1, 2, 1)
    assert targets['has_box']
    assert targets['box'].tolist() == pytest.approx([12 / 40, 10.5 / 30, 16 / 40, 15 / 30])
    sample = item['data_samples']
    assert (sample.index, sample.fake_cls, sample.text, sample.ori_shape) == (
        1,
        fake['fake_cls'],
        fake['text'],
        (30, 40),
    )
    assert (sample.gt_fake, sample.gt_image_type, sample.gt_text_type) == (1, 2, 1)
    assert sample.gt_box.tolist() == [4, 3, 20, 18]
    assert sample.gt_tokens.tolist() == [0] * 3 + [1] * 5 + [0] * 3


def test_real_record_has_no_box_and_no_fake_word(build, record):
    item = build([record(image='p.png')], PACK)[0]
    assert item['targets']['fake'] == item['targets']['image_type'] == item['targets']['text_type'] == 0
    assert not item['targets']['has_box'] and item['targets']['box'].tolist() == [0] * 4
    assert item['data_samples'].gt_box is None
    assert item['data_samples'].gt_tokens.sum() == 0


def test_without_a_picture(build, record):
    """A text-only pipeline neither opens nor needs the picture."""
    dataset = build([record(fake_cls='text_swap', fake_text_pos=[2])], [dict(type='PackManipulationInputs')])
    item = dataset[0]
    assert set(item['inputs']) == {'input_ids', 'word_mask'}
    assert item['data_samples'].gt_tokens.tolist() == [0] * 5 + [1] * 2


def test_one_record_a_line(tmp_path):
    (tmp_path / 'a.jsonl').write_text(
        '{"image": "x", "text": "a", "fake_cls": "orig", "fake_image_box": [], "fake_text_pos": []}\n'
    )
    dataset = DGM4Dataset('a.jsonl', data_root=str(tmp_path), data_prefix=dict(img_path='pictures'))
    assert dataset.get_data_info(0)['img_path'] == str(tmp_path / 'pictures' / 'x')


def test_records_live_in_one_array(build, record):
    """Memory does not grow with the number of Python objects, so forked workers copy nothing."""
    dataset = build([record(id=i) for i in range(100)])
    assert dataset.data_list == []
    assert isinstance(dataset.data_bytes, np.ndarray) and dataset.data_bytes.dtype == np.uint8
    assert len(dataset) == len(dataset.data_address) == 100
    assert dataset.data_bytes.nbytes < 100 * 400
    # Nothing else grew: two tables of counts take 4 KB each.
    assert len(pickle.dumps(dataset)) < dataset.data_bytes.nbytes + 14_000


@pytest.mark.parametrize('max_length', [4, 50])
def test_fake_words_beyond_the_cut_train_without_error(build, record, max_length):
    text = ' '.join(f'w{n}' for n in range(40))
    cut = record(text=text, fake_cls='text_swap', fake_text_pos=[38, 39], image='p.png')
    items = build([cut], PACK)
    items.pipeline.transforms[0].max_length = max_length
    item = items[0]
    assert len(item['inputs']['input_ids']) == max_length
    assert (item['targets']['tokens'] <= 0).all()

    model = MODELS.build(
        dict(
            type='ManipulationDetector',
            image_encoder=dict(type='NullImageEncoder', embed_dims=8),
            text_encoder=dict(type='NullTextEncoder', embed_dims=8),
            neck=dict(
                type='DCANeck',
                image_dims=8,
                text_dims=8,
                embed_dims=8,
                num_heads=2,
                ffn_dims=8,
                num_image_layers=1,
                num_text_layers=1,
            ),
            binary_head=dict(type='BinaryHead', in_dims=8, hidden_dims=8),
            type_head=dict(type='DFCHead', in_dims=8, hidden_dims=8),
            token_head=dict(type='IMQTokenHead', in_dims=8, num_heads=2, reduced_dims=8),
        )
    )
    batch = {
        part: {name: [value] for name, value in item[part].items() if name != 'image'} for part in ('inputs', 'targets')
    }
    losses = model(**model.data_preprocessor(batch), mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_bad_record_stops_with_file_record_and_field(build, record):
    with pytest.raises(ValueError, match=r"ann\.json, record 1, field 'fake_text_pos': \[9\] must lie in 0\.\.2"):
        build([record(), record(fake_cls='text_swap', fake_text_pos=[9])])


def test_bad_records_are_skipped_and_counted_on_request(build, record):
    records = [record(), record(fake_cls='x'), record(fake_cls='face_swap'), record(fake_cls='y'), record(id=7)]
    dataset, lines = log_of(lambda: build(records, on_bad_record='skip'))
    assert [dataset.get_data_info(i)['index'] for i in range(len(dataset))] == [0, 4]  # rows of the file
    (line,) = [line for line in lines if 'skipped' in line]
    assert 'skipped 3 unusable records' in line
    assert "{'unknown class': 2, 'class and box disagree': 1}" in line


def test_entries_that_are_no_record_are_skipped_too(build, record, tmp_path):
    """A line that is cut off, a key twice, and what JSON can write and nothing can use."""
    build([record()])
    lines = [json.dumps(r) for r in (record(), record(text='a\0'), record(fake_cls='face_swap'), record(id=7))]
    lines[2] = lines[2].replace('[]', '[0, 0, NaN, 9]', 1)
    (tmp_path / 'ann.jsonl').write_text('\n'.join([lines[0], lines[0][:-9], '{"text": 1, "text": 2}', *lines[1:]]))
    make = functools.partial(DGM4Dataset, 'ann.jsonl', data_root=str(tmp_path), pipeline=[])
    with pytest.raises(ValueError, match=r'ann\.jsonl:2: broken JSON at column'):
        make()
    dataset, lines = log_of(lambda: make(on_bad_record='skip'))
    assert [dataset.get_data_info(i)['index'] for i in range(len(dataset))] == [0, 5]
    (line,) = [line for line in lines if 'skipped' in line]
    assert "skipped 4 unusable records: {'not an object': 2, 'bad field': 1, 'bad box': 1}" in line


def test_nothing_usable_is_an_error(build, record):
    with pytest.raises(ValueError, match='holds no usable record'):
        build([record(fake_cls='x')], on_bad_record='skip')


@pytest.mark.parametrize('broken', ['missing', 'truncated', 'text', 'box'])
def test_bad_picture_stops_with_file_and_record(build, record, broken, tmp_path):
    box = dict(fake_cls='face_swap', fake_image_box=[1, 1, 42, 20]) if broken == 'box' else {}
    dataset = build([record(image='good.png'), record(image='bad.jpg', **box)], PACK)
    bad = tmp_path / 'bad.jpg'
    if broken == 'missing':
        bad.unlink()
    elif broken == 'truncated':
        bad.write_bytes(bad.read_bytes()[:400])
    elif broken == 'text':
        bad.write_text('not a picture')
    with pytest.raises(ValueError, match=r'ann\.json, record 1: picture .*bad\.jpg') as raised:
        dataset[1]
    if broken == 'box':
        assert '[1, 1, 42, 20] must lie inside the image of 40x30 pixels; at most 1 pixel' in str(raised.value)


def test_box_a_pixel_outside_is_cut_and_counted(build, record):
    """By the workers too, and with their first ones named in the log."""
    swap = dict(fake_cls='face_swap', image='p.png')
    boxes = [[-1, 3, 20, 18], [4, 3, 41, 31], [4, 3, 20, 18]]
    dataset = build([record(image='p.png'), *(record(fake_image_box=box, **swap) for box in boxes)], PACK)
    items, lines = log_of(lambda: [dataset[i] for i in range(4)])
    samples = [item['data_samples'] for item in items]
    # The model is taught the part inside; what is scored is a matter of the protocol.
    assert [sample.gt_box.tolist() for sample in samples[1:]] == boxes
    assert items[2]['targets']['box'].tolist() == pytest.approx([22 / 40, 16.5 / 30, 36 / 40, 27 / 30])
    assert [sample.get('box_cut') for sample in samples] == [None, True, True, False]
    assert dataset.cut_boxes.get() == (4, 2)
    told = [line for line in lines if 'box cut at the edge of its picture' in line]
    assert len(told) == 2 and 'ann.json, record 1: [-1.0, 3.0, 20.0, 18.0] of' in told[0]

    list(DataLoader(dataset, num_workers=2, batch_size=None))
    assert dataset.cut_boxes.get() == (8, 4)
    dataset.cut_boxes.clear()
    assert dataset.cut_boxes.get() == (0, 0)


@pytest.mark.parametrize(('protocol', 'iou'), [('dgm4', [0, 20.5 / 21, 36 / 37]), ('strict', [0, 1, 1])])
def test_a_cut_box_scores_the_same_in_a_test_and_from_its_file(build, record, protocol, iou):
    """Published practice knows the annotated box alone: cut to x1 = 0, it would pass for none."""
    boxes = [[-1, 3, 20, 18], [-0.9, 3, 20.1, 18], [4, 3, 41, 18]]
    records = [record(fake_cls='face_swap', image='p.png', fake_image_box=box) for box in boxes]
    dataset = build(records, PACK)
    samples = [dataset[i]['data_samples'] for i in range(3)]
    for sample, box in zip(samples, [None, [-0.4, 3, 20.1, 18], [4, 3, 40, 18]]):
        sample.pred_fake_score = 1.0
        sample.pred_box = torch.tensor(box, dtype=torch.float32) if box else None
    fields = [{**sample.metainfo, **dict(sample.items())} for sample in samples]
    rows = [prediction_row(sample, ()) for sample in fields]
    metric = BoxMetric(protocol)
    metric.process({}, fields)
    found = metric.evaluate(3)
    scored = score(records, rows, protocol)
    assert found == {name: scored[name] for name in found}
    assert found['IoUmean'] == found['IoUmean_boxed'] == pytest.approx(100 * sum(iou) / 3, rel=1e-6)
    # A page draws and judges what the run does.
    joined = join(records, rows)
    for row, sample in enumerate(samples):
        again = joined_sample(joined, row)
        assert torch.equal(again.gt_box, sample.gt_box)
        sample.gt_tokens = again.gt_tokens  # of other tokens
        assert prediction_error(again) == prediction_error(sample)


def test_how_far_outside_is_a_setting(build, record):
    boxes = [dict(fake_cls='face_swap', fake_image_box=box, image='p.png') for box in ([0, 3, 43, 18], [-2, 3, 9, 9])]
    wide = build([record(**box) for box in boxes], PACK, box_tolerance=3)
    edges = [[0, 3 / 30, 1, 18 / 30], [0, 3 / 30, 9 / 40, 9 / 30]]
    for item, edge in zip(wide, edges):
        assert box_convert(item['targets']['box'], 'cxcywh', 'xyxy').tolist() == pytest.approx(edge)
    with pytest.raises(
        ValueError, match=r"ann\.json, record 0, field 'fake_image_box': \[-2, 3, 9, 9\] must not be neg"
    ):
        build([record(**boxes[1])], PACK)
    exact = build([record(**boxes[0])], PACK, box_tolerance=0)
    with pytest.raises(ValueError, match=r'ann\.json, record 0: picture .*p\.png does not hold its box: .*0 pixels'):
        exact[0]
    # Of a set that may skip, farther outside is one more unusable picture.
    skipping = build([record(image='p.png'), record(**boxes[0])], PACK, on_bad_record='skip')
    assert skipping[1]['data_samples'].index == 0
    assert skipping.pictures.get()[1] >= 1 and skipping.cut_boxes.get()[1] == 0


def test_bad_picture_is_replaced_by_another_and_counted_on_request(build, record, tmp_path):
    dataset = build([record(image='good.png'), record(image='bad.png')], PACK, on_bad_record='skip')
    (tmp_path / 'bad.png').unlink()
    item, lines = log_of(lambda: dataset[1])
    assert item['data_samples'].index == 0
    tried, bad = dataset.pictures.get()
    assert bad == tried - 1 >= 1
    assert any('record 1' in line and 'bad.png' in line for line in lines)


def test_evaluation_sets_are_never_skipped(build, record):
    with pytest.raises(ValueError, match='training data only'):
        build([record()], on_bad_record='skip', test_mode=True)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(box_tolerance=-1), 'box_tolerance must be at least 0 pixels, got -1'),
        (dict(on_bad_record='ignore'), "on_bad_record must be 'error' or 'skip', got 'ignore'"),
        (dict(class_map=dict(orig=('real', 'real'), x=('morph', 'real'))), r"class_map\['x'\] = \('morph', 'real'\)"),
        (dict(class_map=dict(x=('real', 'face_swap'))), r"class_map\['x'\]"),
        (dict(image_types=('real', 'face_swap')), r"class_map\['face_attribute'\]"),
    ],
)
def test_wrong_settings(build, record, settings, message):
    with pytest.raises(ValueError, match=message):
        build([record()], **settings)


def test_metainfo_names_the_classes(build, record):
    dataset = build([record()])
    assert dataset.metainfo['image_types'] == ('real', 'face_swap', 'face_attribute')
    assert dataset.metainfo['text_types'] == ('real', 'text_swap', 'text_attribute')


def test_unknown_tokenizer_is_named(build, record, tmp_path):
    dataset = build([record(image='p.png')], PACK)
    dataset.pipeline.transforms[0] = WordTokenizer(str(tmp_path / 'none'))
    with pytest.raises(ValueError, match='none.*cannot be loaded'):
        dataset[0]


def test_a_tokenizer_outside_the_pipeline_is_refused(build, record, tokenizer):
    """Where it stood once; the message shows where it stands now."""
    with pytest.raises(ValueError, match='it belongs in the pipeline: ') as raised:
        build([record()], tokenizer=tokenizer)
    assert f"pipeline=[{tokenizer}, dict(type='LoadImage')" in str(raised.value)
