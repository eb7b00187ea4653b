"""The conventions of one record, each broken in turn."""

from dataclasses import replace

import pytest

from mmvlforge.annotations.dgm4_record import RecordFormat, box_inside, dgm4_class_map, record_problems

FORMAT = RecordFormat(dgm4_class_map())


def kinds(record, fmt=FORMAT, size=None):
    return [(p.kind, p.field) for p in record_problems(record, fmt, size)]


def test_class_map():
    assert dgm4_class_map() == {
        'orig': ('real', 'real'),
        'text_swap': ('real', 'text_swap'),
        'text_attribute': ('real', 'text_attribute'),
        'face_swap': ('face_swap', 'real'),
        'face_attribute': ('face_attribute', 'real'),
        'face_swap&text_swap': ('face_swap', 'text_swap'),
        'face_swap&text_attribute': ('face_swap', 'text_attribute'),
        'face_attribute&text_swap': ('face_attribute', 'text_swap'),
        'face_attribute&text_attribute': ('face_attribute', 'text_attribute'),
    }
    assert dgm4_class_map('origin')['origin'] == ('real', 'real')


@pytest.mark.parametrize(
    'fields',
    [
        {},
        dict(fake_cls='face_swap', fake_image_box=[0, 0, 1, 1]),
        dict(fake_cls='face_swap', fake_image_box=[0.5, 0, 40, 30]),
        dict(fake_cls='text_swap', fake_text_pos=[0, 2]),
        dict(fake_cls='face_attribute&text_swap', fake_image_box=[1, 2, 3, 4], fake_text_pos=[2]),
    ],
)
def test_sound(record, fields):
    assert kinds(record(**fields), size=(40, 30)) == []


@pytest.mark.parametrize(
    ('fields', 'kind', 'field'),
    [
        (dict(image=''), 'bad field', 'image'),
        (dict(image=3), 'bad field', 'image'),
        (dict(text='  '), 'bad field', 'text'),
        (dict(text=None), 'bad field', 'text'),
        (dict(fake_cls='face_swop'), 'unknown class', 'fake_cls'),
        (dict(fake_cls=['orig']), 'unknown class', 'fake_cls'),
        (dict(fake_image_box=None), 'bad box', 'fake_image_box'),
        (dict(fake_image_box=''), 'bad box', 'fake_image_box'),
        (dict(fake_image_box=[1, 2, 3], fake_cls='face_swap'), 'bad box', 'fake_image_box'),
        (dict(fake_image_box=[1, 2, 3, '4'], fake_cls='face_swap'), 'bad box', 'fake_image_box'),
        (dict(fake_image_box=[5, 2, 5, 4], fake_cls='face_swap'), 'degenerate box', 'fake_image_box'),
        (dict(fake_image_box=[5, 4, 6, 2], fake_cls='face_swap'), 'degenerate box', 'fake_image_box'),
        (dict(fake_image_box=[1, 2, float('nan'), 4], fake_cls='face_swap'), 'bad box', 'fake_image_box'),
        (dict(fake_image_box=[1, 2, float('inf'), 4], fake_cls='face_swap'), 'bad box', 'fake_image_box'),
        (dict(fake_image_box=[1, 2, 10**400, 4], fake_cls='face_swap'), 'bad box', 'fake_image_box'),
        (dict(fake_image_box=[1, True, 3, 4], fake_cls='face_swap'), 'bad box', 'fake_image_box'),
        (dict(image='a\0.jpg'), 'bad field', 'image'),
        (dict(image='\udc80.jpg'), 'bad field', 'image'),
        (dict(text='a \0 b'), 'bad field', 'text'),
        (dict(text='a \ud83d b'), 'bad field', 'text'),
        (dict(fake_image_box=[-1.5, 2, 3, 4], fake_cls='face_swap'), 'box outside the image', 'fake_image_box'),
        (dict(fake_image_box=[1, 2, 42, 4], fake_cls='face_swap'), 'box outside the image', 'fake_image_box'),
        (dict(fake_image_box=[1, 2, 3, 31.5], fake_cls='face_swap'), 'box outside the image', 'fake_image_box'),
        (dict(fake_image_box=[40, 2, 41, 4], fake_cls='face_swap'), 'box outside the image', 'fake_image_box'),
        (dict(fake_image_box=[1, 2, 3, 4]), 'class and box disagree', 'fake_image_box'),
        (dict(fake_cls='face_swap'), 'class and box disagree', 'fake_image_box'),
        (dict(fake_text_pos=2), 'bad word position', 'fake_text_pos'),
        (dict(fake_text_pos=''), 'bad word position', 'fake_text_pos'),
        (dict(fake_text_pos=[True], fake_cls='text_swap'), 'bad word position', 'fake_text_pos'),
        (dict(fake_text_pos=[1.0], fake_cls='text_swap'), 'bad word position', 'fake_text_pos'),
        (dict(fake_text_pos=[0, 3], fake_cls='text_swap'), 'word position out of range', 'fake_text_pos'),
        (dict(fake_text_pos=[-1], fake_cls='text_swap'), 'word position out of range', 'fake_text_pos'),
        (dict(fake_text_pos=[1]), 'class and words disagree', 'fake_text_pos'),
        (dict(fake_cls='text_attribute'), 'class and words disagree', 'fake_text_pos'),
    ],
)
def test_broken(record, fields, kind, field):
    assert (kind, field) in kinds(record(**fields), size=(40, 30))


@pytest.mark.parametrize('field', ['image', 'text', 'fake_cls', 'fake_image_box', 'fake_text_pos'])
def test_missing_field(record, field):
    broken = record()
    del broken[field]
    assert kinds(broken) == [('missing field', field)]


def test_all_problems_of_a_record_are_reported(record):
    broken = record(text='', fake_cls='x', fake_image_box=[1], fake_text_pos=['a'])
    assert [field for _, field in kinds(broken)] == ['text', 'fake_cls', 'fake_image_box', 'fake_text_pos']


def test_not_an_object():
    assert kinds([1]) == [('not an object', '')]


def test_format_switches(record):
    plain = dict(image='a.jpg', text='a b', fake_cls='face_swap')
    assert kinds(plain, RecordFormat(dgm4_class_map(), None, None)) == []
    # A set that folds types into 'real' keeps boxes and positions that its classes do not announce.
    odd = record(fake_image_box=[1, 2, 3, 4], fake_text_pos=[0])
    assert kinds(odd, replace(FORMAT, check_agreement=False)) == []


def test_a_box_a_little_outside_is_cut():
    assert box_inside([-1, 2, 41, 30.5], (40, 30)) == [0, 2, 40, 30]
    assert box_inside([-1, 2, 999, 4], None) == [0, 2, 999, 4]
    assert box_inside([1, 2, 3, 4], (40, 30)) == [1, 2, 3, 4]
    assert box_inside([-4, 2, 3, 4], (40, 30), tolerance=4) == [0, 2, 3, 4]
    with pytest.raises(ValueError, match=r'\[-1, 2, 3, 4\] must not be negative; at most 0 pixels beyond the edge may'):
        box_inside([-1, 2, 3, 4], None, tolerance=0)
    with pytest.raises(ValueError, match='must lie inside the image of 40x30 pixels; at most 1 pixel beyond the edge'):
        box_inside([1, 2, 3, 32], (40, 30))


def test_the_tolerance_is_the_set_s(record):
    outside = record(fake_cls='face_swap', fake_image_box=[-3, 2, 3, 4])
    assert kinds(outside) == [('box outside the image', 'fake_image_box')]
    assert kinds(outside, replace(FORMAT, box_tolerance=3)) == []


def test_message_says_what_would_be_right(record):
    (problem,) = record_problems(record(fake_cls='text_swap', fake_text_pos=[7]), FORMAT)
    assert problem.message == '[7] must lie in 0..2: 3 words'


@pytest.mark.parametrize(
    'fields',
    [
        dict(text=['x' * 5000]),
        dict(image=7 * ['x' * 5000]),
        dict(fake_cls='x' * 5000),
        dict(fake_cls='face_swap', fake_image_box=['x' * 5000]),
        dict(fake_image_box='x\n' * 5000),
        dict(fake_cls='text_swap', fake_text_pos=[9] * 5000),
        dict(text='a \0\n' * 5000),
        {f'x{i}': 0 for i in range(5000)},
    ],
)
def test_a_message_is_one_short_line(record, fields):
    broken = record(**fields)
    del broken['id']
    if 'x1' in fields:
        del broken['text']
    problems = list(record_problems(broken, FORMAT))
    assert problems
    for problem in problems:
        assert len(problem.message) < 400 and problem.message.isprintable()
