"""Joining truth and prediction: what is accepted, what is refused and with which words, and a score by hand."""

import json
import random

import pytest

from mmvlforge.annotations import RecordFormat, dgm4_class_map
from mmvlforge.evaluation.predictions import read_predictions
from mmvlforge.evaluation.scoring import (
    join,
    left_out,
    read_classes,
    score,
    score_rows,
    trivial_predictions,
    type_names,
    uncut_boxes,
)


def record(fake_cls, text='a b c d', box=(), words=()):
    return dict(image='DGM4/x.jpg', text=text, fake_cls=fake_cls, fake_image_box=list(box), fake_text_pos=list(words))


RECORDS = [
    record('orig'),
    record('face_swap', box=[10, 10, 20, 20]),
    record('text_swap', words=[1, 2]),
    record('face_attribute&text_attribute', box=[0, 0, 10, 10], words=[3]),
]


NAMED = dict(face_swap=0, face_attribute=0, text_swap=0, text_attribute=0)


def rows():
    def row(index, fake_score, type_scores, box=None, word_ids=(0, 1, 2, 3), fake_tokens=(0, 0, 0, 0)):
        return dict(
            index=index,
            fake_score=fake_score,
            type_scores=type_scores,
            box=box,
            word_ids=list(word_ids),
            fake_tokens=list(fake_tokens),
        )

    return [
        row(3, 0.9, [-1, 1, -2, -1]),
        row(0, 0.6, [-2, -2, -1, -3]),
        # Word 1 has two sub-words: 3 of the 5 tokens are manipulated, 2 of them found, 1 false alarm.
        row(2, 0.4, [-3, -1, 2, -2], word_ids=[0, 1, 1, 2, 3], fake_tokens=[1, 1, 1, 0, 0]),
        row(1, 0.8, [1, -3, -3, -4], box=[10.0, 10, 20, 16]),
    ]


def test_score_by_hand():
    expected = dict(
        AUC=100 * 2 / 3,  # the real row beats one of three fakes
        # fpr stays 0 up to tpr 2/3, then runs from 0 to 1 there: 1 - x = 2/3.
        EER=100 / 3,
        ACC=50,
        mAP=(100 + 100 + 100 + 100) / 4,
        CF1=100 * 2 * 0.75 * 0.75 / 1.5,  # the last type is never predicted
        OF1=100 * 2 * 1 * 0.75 / 1.75,
        IoUmean=100 * (1 + 0.6 + 1 + 1) / 4,  # the missed box touches the left edge
        IoU50=100,
        IoU75=75,
        IoUmean_boxed=30,
        Precision=100 * 2 / 3,
        Recall=50,  # 2 of 3 + 1
        F1=100 * 2 * (2 / 3) * 0.5 / (2 / 3 + 0.5),
    )
    found = score(RECORDS, rows())
    assert list(found) == list(expected)
    assert found == pytest.approx(expected)
    strict = score(RECORDS, rows(), 'strict')
    assert strict == pytest.approx({**expected, 'IoUmean': 65, 'IoU50': 75, 'IoU75': 50})


def test_breakdown_by_hand():
    found = score(RECORDS, rows(), per_class=True)
    assert list(found['per_class']) == ['face_swap', 'face_attribute', 'text_swap', 'text_attribute']
    assert found['per_class']['text_attribute'] == dict(samples=1, AP=100, Precision=0, Recall=0, F1=0)
    assert found['per_manipulation']['text_swap'] == pytest.approx(
        dict(samples=1, detection_rate=0, IoUmean=100, F1=200 / 3)
    )
    assert found['per_manipulation']['orig'] == dict(samples=1, detection_rate=100, IoUmean=100, F1=None)


def test_order_of_lines_and_unknown_fields_do_not_matter():
    shuffled = [dict(row, comment='x') for row in rows()]
    random.Random(1).shuffle(shuffled)
    assert score(RECORDS, shuffled, per_class=True) == score(RECORDS, rows(), per_class=True)


def test_words_without_tokens_are_counted():
    short = rows()
    short[0].update(word_ids=[0, 2], fake_tokens=[0, 0])
    joined = join(RECORDS, short)
    assert (joined.words, joined.uncovered_words) == (16, 2)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'fake_score': float('nan')}, 'fake_score: is nan, must be a probability in [0, 1]'),
        ({'fake_score': 1.5}, 'fake_score: is 1.5'),
        ({'fake_score': True}, 'fake_score: is True'),
        ({'fake_score': '0.5'}, "fake_score: is '0.5'"),
        ({'type_scores': [0, 0, 0]}, 'type_scores: is [0, 0, 0], must be 4 finite numbers (face_swap, face_attribute,'),
        ({'type_scores': [0, 0, 0, float('inf')]}, 'type_scores: is [0, 0, 0, inf]'),
        ({'type_scores': [0, 0, 0, 10**400]}, 'type_scores: is [0, 0, 0, 1000'),
        ({'type_scores': None}, 'type_scores: is None'),
        ({'type_scores': dict(NAMED, face_swop=1)}, 'type_scores: has the unknown type face_swop; must name face_swap'),
        ({'type_scores': dict(NAMED, text_swap='1')}, "type_scores: is {'face_swap': 0, "),
        (
            {'type_scores': {name: 0 for name in NAMED if name != 'text_swap'}},
            'type_scores: has no text_swap; must name face_swap, face_attribute, text_swap, text_attribute',
        ),
        ({'box': [1, 2, 3]}, 'box: is [1, 2, 3], must be 4 finite numbers'),
        ({'box': [1, 2, 3, float('nan')]}, 'box: is [1, 2, 3, nan]'),
        ({'box': [5, 2, 5, 9]}, 'box: is [5, 2, 5, 9], must have x1 < x2'),
        ({'box': [0, 0, 0, 0]}, 'write null for "no box"'),
        ({'size': [0, 5]}, 'size: is [0, 5], must be [width, height] of the stored image'),
        ({'size': '3x4'}, "size: is '3x4'"),
        (
            {'no_box': {'coord': True, 'type': False}},
            "raw_box: is missing, while {'coord': True, 'type': False} finds a box and box has none",
        ),
        ({'no_box': {'type': 1}}, "no_box: is {'type': 1}, must be an object, name of the rule to true or false"),
        ({'no_box': {'type': False}, 'raw_box': [5, 2, 5, 9]}, 'raw_box: is [5, 2, 5, 9], must have x1 < x2'),
        ({'word_ids': [0, 1, 2, 4]}, 'word_ids: 4 is not a word of the caption (0 to 3)'),
        ({'word_ids': [-1, 1, 2, 3]}, 'word_ids: -1 is not a word'),
        ({'word_ids': [0, 2, 1, 3]}, 'word_ids: falls from 2 to 1'),
        ({'word_ids': [0, 1, 2, None]}, 'word_ids: is [0, 1, 2, None], must be a list of integers'),
        ({'fake_tokens': [0, 0, 0]}, 'fake_tokens: has 3 values, word_ids has 4'),
        ({'fake_tokens': [0, 0, 0, 2]}, 'fake_tokens: is [0, 0, 0, 2], must be a list of 0 and 1'),
        ({'fake_tokens': [0, 0, 0, float('nan')]}, 'fake_tokens: is'),
        ({'index': 4}, 'index: 4 is no row of annotations (0 to 3)'),
        ({'index': -1}, 'index: -1 is no row'),
        ({'index': '2'}, "index: '2' is no row"),
        ({'index': 3}, 'index: row 3 is predicted already, in line 1'),
    ],
)
def test_faults_name_line_and_field(change, message):
    bad = rows()
    bad[1].update(change)
    with pytest.raises(ValueError, match='predictions:2: ') as error:
        score(RECORDS, bad)
    assert f'predictions:2: {message}' in str(error.value) or (
        message.startswith('write') and message in str(error.value)
    )


@pytest.mark.parametrize('field', ['fake_score', 'type_scores', 'box', 'word_ids', 'fake_tokens'])
def test_missing_fields_are_named(field):
    bad = rows()
    del bad[2][field]
    with pytest.raises(ValueError, match=f'^predictions:3: {field}: is missing') as error:
        score(RECORDS, bad)
    assert '\n' not in str(error.value)


def test_missing_rows_are_named():
    with pytest.raises(ValueError, match=r'^predictions: index: 2 of 4 rows have no prediction: 1, 3$'):
        score(RECORDS, [row for row in rows() if row['index'] in (0, 2)])
    with pytest.raises(ValueError, match=r'4 of 4 rows'):
        score(RECORDS, [])


def test_at_most_twenty_problems_are_told():
    records = [record('orig')] * 30
    bad = [dict(rows()[1], index=i, fake_score=2) for i in range(30)]
    with pytest.raises(ValueError, match='predictions:20: ') as error:
        score(records, bad)
    lines = str(error.value).split('\n')
    assert len(lines) == 21
    assert lines[-1] == '... and 10 more problems'


def test_bad_annotations_are_told_apart_from_bad_predictions():
    with pytest.raises(ValueError, match=r"^annotations, record 1: fake_cls: 'face_swop' is unknown"):
        score([RECORDS[0], record('face_swop')], rows()[:2])
    with pytest.raises(ValueError, match='annotations, record 0: fake_image_box: is missing'):
        score([{k: v for k, v in RECORDS[0].items() if k != 'fake_image_box'}, *RECORDS[1:]], rows())
    with pytest.raises(ValueError, match='annotations: no records'):
        score([], [])


def test_class_and_box_may_disagree():
    # A class map may fold a type into 'real'; mmvlforge data check is the tool that looks for such records in DGM4.
    with pytest.warns(UserWarning, match='no row has manipulation type'):
        found = score([*RECORDS[:3], dict(RECORDS[3], fake_cls='text_attribute')], rows())
    assert found['IoUmean_boxed'] == 30


def test_other_classes_and_a_set_without_boxes_and_words():
    class_map = {'real': ('real', 'real'), 'swap': ('swapped face', 'swapped text'), 'edit': ('edited face', 'real')}
    records = [dict(image='x', text='a b', fake_cls=c) for c in ('real', 'swap', 'edit')]
    names = ('swapped face', 'edited face', 'swapped text')
    predictions = [
        dict(index=i, fake_score=s, type_scores=dict(zip(names, t)), box=None, word_ids=[0, 1], fake_tokens=[0, 0])
        for i, (s, t) in enumerate([(0.1, [-1, -1, -1]), (0.7, [1, -1, 1]), (0.8, [-1, 1, -1])])
    ]
    joined = join(records, predictions, RecordFormat(class_map))
    found = score_rows(joined, per_class=True)
    # What nobody knows is no 0.
    assert list(found) == ['AUC', 'EER', 'ACC', 'mAP', 'CF1', 'OF1', 'per_class', 'per_manipulation']
    assert (found['AUC'], found['mAP'], found['CF1']) == (100, 100, 100)
    assert list(found['per_class']) == list(names)
    assert found['per_manipulation']['swap'] == dict(samples=1, detection_rate=100, IoUmean=None, F1=None)
    assert left_out(joined) == [
        'the annotations have no boxes: IoUmean, IoU50, IoU75, IoUmean_boxed are left out',
        'the annotations have no word positions: Precision, Recall, F1 are left out',
    ]
    with pytest.raises(ValueError, match='must differ in name'):
        score(records, predictions, fmt=RecordFormat({**class_map, 'swap': ('swap', 'swap')}))


def test_unreadable_lines_are_reported_with_the_rest(tmp_path):
    path = tmp_path / 'p.jsonl'
    lines = [json.dumps(row) for row in rows()]
    path.write_text('\n'.join([lines[0], '', '{"index": 0,', lines[2], '[1]']) + '\n')
    found, numbers = read_predictions(str(path))
    with pytest.raises(ValueError, match='broken') as error:
        join(RECORDS, found, pred_file='p.jsonl', lines=numbers)
    told = str(error.value).split('\n')
    assert told[0] == 'p.jsonl: index: 2 of 4 rows have no prediction: 0, 1'
    assert told[1].startswith('p.jsonl:3: broken JSON at column')
    assert told[2] == 'p.jsonl:5: [1] must be a JSON object'


def test_a_type_that_stands_twice_is_reported_with_its_line(tmp_path):
    path = tmp_path / 'p.jsonl'
    lines = [json.dumps(row) for row in rows()]
    lines[1] = lines[1].replace('[-2, -2, -1, -3]', '{"face_swap": 1, "face_swap": -1}')
    path.write_text('\n'.join(lines))
    found, numbers = read_predictions(path)
    with pytest.raises(ValueError, match="p.jsonl:2: .*the key 'face_swap' stands twice in one object"):
        join(RECORDS, found, pred_file='p.jsonl', lines=numbers)


def test_trivial_predictions_score_as_chance():
    records = [RECORDS[i % 4] for i in range(400)]
    found = score(records, trivial_predictions(records))
    assert (found['AUC'], found['EER'], found['ACC']) == (50, 50, 75)
    # Every type has a quarter of the rows; H_400/400 above that for a list of this length.
    harmonic = sum(1 / i for i in range(1, 401))
    expected = (harmonic + 99 / 399 * (400 - harmonic)) / 4
    assert found['mAP'] == pytest.approx(expected)
    assert (found['CF1'], found['OF1'], found['F1'], found['IoUmean_boxed']) == (0, 0, 0, 0)
    assert found['IoUmean'] == 75


def test_rows_come_in_the_records_order_with_their_format():
    joined = join(RECORDS, rows())
    assert joined.records is RECORDS
    assert [row['index'] for row in joined.predictions] == [0, 1, 2, 3]
    assert joined.format.image_types == ('real', 'face_swap', 'face_attribute')
    assert joined.format.text_types == ('real', 'text_swap', 'text_attribute')
    assert (joined.format.box_field, joined.format.word_field) == ('fake_image_box', 'fake_text_pos')
    assert joined.fake.tolist() == [False, True, True, True]
    assert joined.true_tokens == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1]]


def test_fields_of_other_names_and_fields_that_no_record_has():
    records = [dict(image='x', text='a b', fake_cls=c, words=w) for c, w in (('orig', []), ('text_swap', [1]))]
    predictions = trivial_predictions(records)
    joined = join(records, predictions, RecordFormat(dgm4_class_map(), word_field='words'))
    assert (joined.format.box_field, joined.format.word_field) == (None, 'words')
    assert joined.true_tokens == [[0, 0], [0, 1]] and not joined.true_boxes.any()


def test_types_are_those_of_the_format_in_its_order():
    """A data set may number its types otherwise than they appear, and know types that its classes fold away."""
    class_map = {'orig': ('real', 'real'), 'b': ('real', 'second'), 'a': ('real', 'first')}
    fmt = RecordFormat(class_map, image_types=('real', 'face'), text_types=('real', 'first', 'second'))
    assert type_names(fmt.image_types, fmt.text_types) == ['face', 'first', 'second']
    records = [dict(image='x', text='a', fake_cls=name) for name in class_map]
    predictions = trivial_predictions(records, fmt)
    assert join(records, predictions, fmt).true_types.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    with pytest.raises(ValueError, match='predictions:1: type_scores: has the unknown type face; must name second, fi'):
        join(records, predictions, RecordFormat(class_map))


def test_perfect_scores_stay_perfect_in_whatever_order_a_map_is_written():
    """A map that begins with other classes than the data set's types once gave a perfect model mAP 41.67."""
    pairs = dgm4_class_map()
    records = [
        record(name, box=[0, 0, 9, 9] if image != 'real' else (), words=[0] if text != 'real' else ())
        for name, (image, text) in pairs.items()
    ]
    named = [
        dict(index=i, fake_score=float(i > 0), type_scores={name: 1 if name in pair else -1 for name in NAMED})
        for i, pair in enumerate(pairs.values())
    ]
    listed = [dict(row, type_scores=list(row['type_scores'].values())) for row in named]
    backwards = RecordFormat(dict(reversed(pairs.items())))
    assert backwards.image_types == ('real', 'face_attribute', 'face_swap')
    for rows_, fmt in ((named, backwards), (named, None), (listed, None)):
        found = score(records, rows_, fmt=fmt)
        assert (found['mAP'], found['CF1'], found['OF1']) == (100, 100, 100)
    # The order of a list is the data set's, where it is named; that of a map says nothing.
    in_order = RecordFormat(
        backwards.class_map,
        image_types=('real', 'face_swap', 'face_attribute'),
        text_types=('real', 'text_swap', 'text_attribute'),
    )
    assert score(records, listed, fmt=in_order)['mAP'] == 100
    with pytest.raises(ValueError, match='^predictions:1: type_scores: is a list, and a class map does not say in whi'):
        score(records, listed, fmt=backwards)
    # One type of each kind has but one order.
    fmt = RecordFormat(dict(orig=('real', 'real'), face_swap=('face', 'real'), text_swap=('real', 'text')))
    few = [dict(index=i, fake_score=0.5, type_scores=t) for i, t in enumerate([[-1, -1], [1, -1], [-1, 1]])]
    assert score(RECORDS[:3], few, fmt=fmt)['mAP'] == 100


def test_boxes_under_each_rule():
    """Row 1's box is dropped by the type head, row 2 would get one if the box alone decided."""
    ruled = [dict(row, no_box=dict(coord=row['box'] is None, type=row['index'] != 3)) for row in rows()]
    ruled[0]['raw_box'] = [0, 0, 5, 10]
    ruled[2].update(no_box=dict(coord=False, type=True), box=[1, 1, 2, 2])
    found = score(RECORDS, ruled, 'strict')
    assert [found[f'IoUmean{rule}'] for rule in ('', '/coord_rule', '/type_rule')] == pytest.approx(
        [100 * (1 + 0.6 + 0 + 0) / 4, 100 * (1 + 0.6 + 0 + 0) / 4, 100 * (1 + 0 + 1 + 0.5) / 4]
    )
    ruled[1]['no_box'] = dict(coord=True)
    with pytest.raises(
        ValueError, match=r"predictions:2: no_box: has \['coord'\], other rows have \['coord', 'type'\]"
    ):
        score(RECORDS, ruled)
    del ruled[1]['no_box']
    with pytest.raises(ValueError, match='predictions:2: no_box: is missing'):
        score(RECORDS, ruled)
    with pytest.raises(ValueError, match='predictions:1: box: is missing'):
        score(RECORDS, [{k: v for k, v in row.items() if k != 'box'} for row in ruled])


def test_strict_cuts_a_box_where_the_row_gives_the_picture_s_size():
    beyond = rows()
    beyond[3]['box'] = [-10, 10, 20, 20]  # the true one is [10, 10, 20, 20]
    for protocol in ('dgm4', 'strict'):
        assert score(RECORDS, beyond, protocol)['IoUmean_boxed'] == pytest.approx(100 / 3 / 2)
    assert uncut_boxes(join(RECORDS, beyond)) == 1
    beyond[3]['size'] = [40, 30]
    assert uncut_boxes(join(RECORDS, beyond)) == 0
    assert score(RECORDS, beyond)['IoUmean_boxed'] == pytest.approx(100 / 3 / 2)
    assert score(RECORDS, beyond, 'strict')['IoUmean_boxed'] == 50 / 2


def test_a_true_box_a_little_outside_is_cut_by_strict_alone():
    outside = [*RECORDS[:1], dict(RECORDS[1], fake_image_box=[10, 10, 21, 20]), *RECORDS[2:]]
    perfect = [dict(row, size=[20, 30]) for row in rows()]
    perfect[3]['box'] = [10, 10, 20, 20]
    assert score(outside, perfect, 'strict')['IoUmean_boxed'] == 50
    assert score(outside, perfect)['IoUmean_boxed'] == pytest.approx(50 * 10 / 11)
    perfect[3]['size'] = [19, 30]
    with pytest.raises(
        ValueError, match='^annotations, record 1: fake_image_box: by the size that predictions gives, '
    ):
        score(outside, perfect)
    # Cut, it would be one of those at the left edge that dgm4 takes for none.
    outside[1]['fake_image_box'] = [-1, 10, 20, 20]
    assert score(outside, [dict(row, box=None) for row in rows()])['IoUmean'] == 75


@pytest.mark.parametrize(
    ('fields', 'metrics'),
    [
        (['type_scores'], ['mAP', 'CF1', 'OF1']),
        (['box'], ['IoUmean', 'IoU50', 'IoU75', 'IoUmean_boxed']),
        (['word_ids', 'fake_tokens'], ['Precision', 'Recall', 'F1']),
    ],
)
def test_what_a_model_has_no_head_for_is_left_out(fields, metrics):
    """Absent is not null: a model that points nowhere must not earn what "no box everywhere" does."""
    whole = score(RECORDS, rows(), per_class=True)
    part = join(RECORDS, [{k: v for k, v in row.items() if k not in fields} for row in rows()])
    found = score_rows(part, per_class=True)
    for name in ('per_class', 'per_manipulation'):
        whole.pop(name), found.pop(name, None)
    assert found == {name: value for name, value in whole.items() if name not in metrics}
    (note,) = left_out(part)
    assert note == f'the predictions have no {fields[0]}: {", ".join(metrics)} are left out'
    assert left_out(join(RECORDS, rows())) == []


def test_class_map_without_a_type_is_refused():
    with pytest.raises(ValueError, match="at least one class must be other than 'real'"):
        type_names(('real',), ('real',))


def test_classes_from_a_file(tmp_path):
    path = tmp_path / 'classes.json'
    path.write_text('{"genuine": ["real", "real"], "swap": ["face", "words"]}')
    fmt = read_classes(path)
    assert fmt.class_map == {'genuine': ('real', 'real'), 'swap': ('face', 'words')}
    assert (fmt.image_types, fmt.text_types) == (('real', 'face'), ('real', 'words'))
    for text in ('{}', '{"a": "real"}', '{"a": ["real"]}', '{"a": ["real", 1]}'):
        path.write_text(text)
        with pytest.raises(ValueError, match='classes.json: must be a JSON object'):
            read_classes(path)
    path.write_text('{"a": ["real", "real"],\n}')
    with pytest.raises(ValueError, match='classes.json:2: broken JSON at column 1'):
        read_classes(path)
