"""Every public caption format, from a file of its exact shape."""

import hashlib
import json
import os
import zlib
from pathlib import Path

import pytest

from mmvlforge.annotations import READERS, CaptionRecord, guess_reader, read_captions

REAL = Path(os.environ.get('MMVLFORGE_REAL_DATA', Path(__file__).parents[3] / 'shared' / 'data' / 'real'))
real_files = pytest.mark.skipif(not REAL.is_dir(), reason=f'no {REAL}; MMVLFORGE_REAL_DATA may name the folder')

COCO = {
    'images': [
        {
            'filepath': 'val2014',
            'sentids': [770337, 771687],
            'filename': 'COCO_val2014_000000391895.jpg',
            'imgid': 0,
            'split': 'test',
            'sentences': [
                {'tokens': ['a', 'man'], 'raw': 'A man with a red helmet. ', 'imgid': 0, 'sentid': 770337},
                {'tokens': ['man'], 'raw': 'Man riding a motor bike', 'imgid': 0, 'sentid': 771687},
            ],
            'cocoid': 391895,
        },
        *(
            {
                'filepath': folder,
                'sentids': [number],
                'filename': f'COCO_{folder}_{number}.jpg',
                'imgid': number,
                'split': split,
                'sentences': [{'tokens': [], 'raw': f'caption {number}', 'imgid': number, 'sentid': number}],
                'cocoid': number,
            }
            for number, (folder, split) in enumerate(
                [('train2014', 'train'), ('val2014', 'restval'), ('val2014', 'val')], 1
            )
        ),
    ],
    'dataset': 'coco',
}
FLICKR = {
    'images': [
        {
            'sentids': [0, 1],
            'imgid': 0,
            'sentences': [
                {'tokens': ['two'], 'raw': 'Two young guys.', 'imgid': 0, 'sentid': 0},
                {'tokens': ['two'], 'raw': 'Two men.', 'imgid': 0, 'sentid': 1},
            ],
            'split': 'train',
            'filename': '1000092795.jpg',
        }
    ],
    'dataset': 'flickr30k',
}
REGIONS = [
    {
        'id': 1,
        'regions': [
            {'region_id': 1382, 'width': 82, 'height': 139, 'image_id': 1, 'phrase': 'the clock', 'y': 57, 'x': 421},
            {'region_id': 1383, 'width': 9, 'height': 8, 'image_id': 1, 'phrase': 'a lamp', 'y': 0, 'x': -1},
        ],
    },
    {'id': 2, 'regions': []},
]
WINOGROUND = {
    'id': 0,
    'image_0': 'ex_0_img_0',
    'image_1': 'ex_0_img_1',
    'caption_0': 'an old person kisses a young person',
    'caption_1': 'a young person kisses an old person',
    'tag': 'Adjective-Age',
    'secondary_tag': '',
    'num_main_preds': 1,
    'collapsed_tag': 'Object',
}
SUGAR = {'0': {'filename': '000000085329.jpg', 'caption': 'A big dog.', 'negative_caption': 'A small dog.'}}
RELATION = {
    'image_id': '2379374',
    'image_path': '2379374.jpg',
    'bbox_x': 33,
    'bbox_y': 86,
    'bbox_w': 212,
    'bbox_h': 180,
    'relation_name': 'on',
    'true_caption': 'the cup is on the table',
    'false_caption': 'the table is on the cup',
}
ATTRIBUTION = {
    **{key: value for key, value in RELATION.items() if key != 'relation_name'},
    'obj1_name': 'cup',
    'obj2_name': 'table',
    'attributes': ['white', 'round'],
}
COCO_OWN = {
    'info': {'description': 'COCO 2017 Dataset', 'version': '1.0', 'year': 2017},
    'licenses': [{'url': 'http://a.b/', 'id': 1, 'name': 'a licence'}],
    'images': [
        {'license': 4, 'file_name': '000000397133.jpg', 'height': 427, 'width': 640, 'id': 397133},
        {'license': 1, 'file_name': '000000037777.jpg', 'height': 230, 'width': 352, 'id': 37777},
        {'license': 1, 'file_name': '000000000001.jpg', 'height': 230, 'width': 352, 'id': 1},
    ],
    'annotations': [
        {'image_id': 37777, 'id': 16, 'caption': 'A dining table.'},
        {'image_id': 397133, 'id': 38, 'caption': 'A man is in a kitchen.'},
        {'image_id': 37777, 'id': 25, 'caption': 'A kitchen with a table '},
    ],
}
TOKENS = (
    '1000268201_693b08cb0e.jpg#0\tA child in a pink dress , "alone" .\n'
    '1000268201_693b08cb0e.jpg#1\tA girl going into a building .\n'
    '1001773457_577c3a7d70.jpg#0\tA black dog\r\n'
    '2258277193_586949ec62.jpg.1#0\tpeople waiting\n'
)
KAGGLE = (
    'image,caption\n1000268201_693b08cb0e.jpg,A child in a pink dress .\n'
    '1001773457_577c3a7d70.jpg,"A black dog , and a spotted dog"\n1000268201_693b08cb0e.jpg,A girl .\n'
)
PEOPLE = 'id,name,chamber,state,party\r\nS001,Steve S.,,LA,R\r\nB002,"B. Bow, Jr.",rep,NY,D\r\n'
HEAD, ROW = 'key,vid_key,video_id,sentence\n', 'r,m,v,a\n'
URL = 'http://a.b/c/Dog%20one.JPG?size=2'


@pytest.fixture
def read(tmp_path):
    def run(content, type, **settings):
        path = tmp_path / 'ann'
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')
        return list(read_captions(str(path), type, **settings))

    return run


def test_coco_karpathy(read):
    (record,) = read(COCO, 'karpathy', split='test')
    assert record == CaptionRecord(
        0, ('val2014/COCO_val2014_000000391895.jpg',), ('A man with a red helmet. ', 'Man riding a motor bike')
    )
    assert [r.row for r in read(COCO, 'karpathy', split='train')] == [1, 2]  # restval trains
    assert [r.images for r in read(COCO, 'karpathy', split='val')] == [('val2014/COCO_val2014_3.jpg',)]


def test_flickr_karpathy_has_no_folder(read):
    (record,) = read(FLICKR, 'karpathy', split='train')
    assert record == CaptionRecord(0, ('1000092795.jpg',), ('Two young guys.', 'Two men.'))
    assert read(FLICKR, 'karpathy', split='test') == []


@pytest.mark.parametrize('categories', [{}, {'categories': [{'id': 1, 'name': 'person'}]}])
def test_coco_s_own_captions(read, capsys, categories):
    """In the order of the images, wherever their captions stand; some files list categories that captions lack."""
    assert read({**COCO_OWN, **categories}, 'coco') == [
        CaptionRecord(0, ('000000397133.jpg',), ('A man is in a kitchen.',)),
        CaptionRecord(1, ('000000037777.jpg',), ('A dining table.', 'A kitchen with a table ')),
        CaptionRecord(2, ('000000000001.jpg',), ()),
    ]
    assert capsys.readouterr().out == ''


def test_flickr8k(read, tmp_path):
    first, dog, stray = read(TOKENS, 'flickr8k')
    assert first == CaptionRecord(
        0, ('1000268201_693b08cb0e.jpg',), ('A child in a pink dress , "alone" .', 'A girl going into a building .')
    )
    assert dog == CaptionRecord(2, ('1001773457_577c3a7d70.jpg',), ('A black dog',))
    assert stray.images == ('2258277193_586949ec62.jpg.1',)
    (tmp_path / 'Flickr_8k.devImages.txt').write_text('1001773457_577c3a7d70.jpg\r\n\n')
    assert read(TOKENS, 'flickr8k', images='Flickr_8k.devImages.txt') == [dog]


def test_csv(read, tmp_path):
    first, dog = read(KAGGLE, 'csv')
    assert first == CaptionRecord(0, ('1000268201_693b08cb0e.jpg',), ('A child in a pink dress .', 'A girl .'))
    assert dog == CaptionRecord(1, ('1001773457_577c3a7d70.jpg',), ('A black dog , and a spotted dog',))
    (tmp_path / 'train.txt').write_text('1000268201_693b08cb0e.jpg')
    assert read(KAGGLE, 'csv', images='train.txt') == [first]


def test_csv_of_any_columns(read):
    assert read(PEOPLE, 'csv', image='{id}.jpg', caption='{name} of {state}') == [
        CaptionRecord(0, ('S001.jpg',), ('Steve S. of LA',)),
        CaptionRecord(1, ('B002.jpg',), ('B. Bow, Jr. of NY',)),
    ]


def test_faces(read):
    text = 'image,caption,faces\na.jpg,A man,"[[1, 2, 30, 40.5]]"\nb.jpg,A dog,\n'
    first, second = read(text, 'csv', faces='faces')
    assert first.extras == dict(faces=((1, 2, 30, 40.5),)) and second.extras == dict(faces=())
    (record,) = read([{'image': 'a.jpg', 'caption': 'x', 'boxes': [[1, 2, 3, 4]]}], 'albef', faces='boxes')
    assert record.extras == dict(faces=((1, 2, 3, 4),))


@pytest.mark.parametrize(
    ('content', 'reader'),
    [(COCO_OWN, 'coco'), (TOKENS, 'flickr8k'), (KAGGLE, 'csv'), ([{'image': 'a.jpg', 'caption': 'x'}], 'albef')],
)
def test_a_format_is_told_by_its_file(tmp_path, content, reader):
    (tmp_path / 'ann').write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
    assert guess_reader(tmp_path / 'ann') == reader


@pytest.mark.parametrize('content', [PEOPLE, HEAD + ROW, '', json.dumps(COCO)])
def test_a_format_that_cannot_be_told(tmp_path, content):
    (tmp_path / 'ann').write_text(content)
    with pytest.raises(ValueError, match=r"ann: its format cannot be told.*Or name the reader, one of \['albef', "):
        guess_reader(tmp_path / 'ann')


def test_a_csv_as_spreadsheets_write_it(tmp_path):
    (tmp_path / 'a.csv').write_text('\ufeffimage,caption\na.jpg,A dog.\n', encoding='utf-8')
    assert guess_reader(tmp_path / 'a.csv') == 'csv'
    assert [r.images for r in read_captions(str(tmp_path / 'a.csv'), 'csv')] == [('a.jpg',)]
    (tmp_path / 'b.csv').write_text('Image;Caption\na.jpg;A dog.\n')
    with pytest.raises(ValueError, match=r"has commas and columns image and caption; here .* has \['Image;Caption'\]"):
        guess_reader(tmp_path / 'b.csv')
    (tmp_path / 'c.csv').write_text('a.jpg,A dog.\n')
    with pytest.raises(ValueError, match=r"no line follows the first one, the header: \['a.jpg', 'A dog.'\]"):
        list(read_captions(str(tmp_path / 'c.csv'), 'csv'))


@pytest.mark.parametrize('setting', ['image', 'caption'])
def test_the_name_of_a_column_is_no_template(tmp_path, setting):
    """It would be the name, or the caption, of every picture."""
    (tmp_path / 'a.csv').write_text('image,caption\na.jpg,A dog.\n')
    with pytest.raises(ValueError, match=rf"{setting} 'caption' is the name of a column: write {{caption}}"):
        list(read_captions(str(tmp_path / 'a.csv'), 'csv', **{setting: 'caption'}))


@real_files
@pytest.mark.parametrize(
    ('file', 'settings', 'pictures', 'captions'),
    [
        ('flickr8k_224/captions.csv', {}, 4000, 20000),
        ('flickr8k_224/captions.csv', dict(images='train.txt'), 3000, 15000),
        ('flickr8k_224/captions.csv', dict(images='dev.txt'), 1000, 5000),
        ('tiny_coco/annotations/captions_train2017.json', {}, 50, 250),
        ('tiny_coco/annotations/captions_val2017.json', {}, 50, 250),
        ('coco_captions/captions_val2017.json', {}, 5000, 25014),
    ],
)
def test_real_files(file, settings, pictures, captions):
    records = list(read_captions(str(REAL / file), guess_reader(REAL / file), **settings))
    assert len({record.images for record in records}) == len(records) == pictures
    assert sum(len(record.captions) for record in records) == captions
    assert all(len(record.captions) >= 5 and all(map(str.strip, record.captions)) for record in records)


@real_files
def test_real_portraits():
    settings = dict(image='{bioguide}.jpg', caption='{name}, {party} of {state}')
    records = list(read_captions(str(REAL / 'portraits/people.csv'), 'csv', **settings))
    assert len(records) == 340 and all((REAL / 'portraits/images' / r.images[0]).is_file() for r in records)


def test_a_picture_without_captions(read):
    """To be encoded, or found."""
    assert read([{'image': 'a.jpg', 'caption': []}], 'albef') == [CaptionRecord(0, ('a.jpg',), ())]


def test_albef(read):
    pretraining = [
        {'image': 'vg/1.jpg', 'caption': 'the clock', 'bbox': [421, 57, 82, 139]},
        {'image': 'a.jpg', 'caption': ['one', 'two'], 'bbox': None},
    ]
    assert read(pretraining, 'albef') == [
        CaptionRecord(0, ('vg/1.jpg',), ('the clock',), (421, 57, 82, 139)),
        CaptionRecord(1, ('a.jpg',), ('one', 'two')),
    ]
    train = [{'caption': 'A woman.', 'image': 'val2014/x.jpg', 'image_id': 'coco_522418'}]
    assert read(train, 'albef') == [CaptionRecord(0, ('val2014/x.jpg',), ('A woman.',))]
    test = [{'image': 'x.jpg', 'caption': ['1', '2', '3', '4', '5']}]
    assert read(test, 'albef') == [CaptionRecord(0, ('x.jpg',), ('1', '2', '3', '4', '5'))]


@pytest.mark.parametrize('columns', [('caption', 'url'), ('url', 'caption')])
def test_url_tables(read, columns):
    """CC3M and CC12M; a line separator and quotes inside a caption are text."""
    pairs = [dict(caption='a "dog\u2028 runs', url=URL), dict(caption='b', url='http://x/2.png')]
    text = ''.join('\t'.join(pair[c] for c in columns) + end for pair, end in zip(pairs, ('\r\n', '\n')))
    records = read(text, 'url_table', columns=columns, file_name='{row:04d}.jpg')
    assert records == [
        CaptionRecord(0, ('0000.jpg',), ('a "dog\u2028 runs',)),
        CaptionRecord(1, ('0001.jpg',), ('b',)),
    ]


@pytest.mark.parametrize(
    ('file_name', 'expected'),
    [
        ('{basename}', 'Dog%20one.JPG'),
        ('{md5}.jpg', hashlib.md5(URL.encode()).hexdigest() + '.jpg'),
        ('{row}_{crc32}', f'0_{zlib.crc32(URL.encode())}'),
    ],
)
def test_a_url_tells_the_local_file(read, file_name, expected):
    (record,) = read(f'c\t{URL}\n', 'url_table', file_name=file_name)
    assert record.images == (expected,)


def test_sbu(read):
    table = {'image_urls': ['http://x/1.jpg', 'http://x/2.jpg'], 'user_ids': ['u', 'v'], 'captions': ['one', '']}
    assert read(table, 'sbu', file_name='{basename}') == [
        CaptionRecord(0, ('1.jpg',), ('one',)),
        CaptionRecord(1, ('2.jpg',), ('',)),
    ]


def test_visual_genome(read):
    first, second = read(REGIONS, 'visual_genome')
    assert first[1:4] == (('1.jpg',), ('the clock',), (421, 57, 82, 139))
    assert second.box == (-1, 0, 9, 8) and second.row == "0, 'regions' 1"


def test_winoground(read):
    lines = '\n'.join(json.dumps(dict(WINOGROUND, id=i)) for i in range(2)) + '\n'
    first, second = read(lines, 'winoground')
    assert first == CaptionRecord(
        0,
        ('ex_0_img_0.png', 'ex_0_img_1.png'),
        ('an old person kisses a young person', 'a young person kisses an old person'),
        None,
        dict(tag='Object', num_main_preds=1),
    )
    assert second.row == 1


def test_sugarcrepe(tmp_path):
    for name in ('swap_obj', 'add_att'):
        (tmp_path / f'{name}.json').write_text(json.dumps(SUGAR))
    records = list(read_captions(str(tmp_path), 'sugarcrepe'))
    assert [r.extras for r in records] == [dict(category='add_att'), dict(category='swap_obj')]
    assert records[0][:3] == ('0 of add_att.json', ('000000085329.jpg',), ('A big dog.', 'A small dog.'))


def test_aro(read):
    (record,) = read([RELATION], 'aro')
    assert record == CaptionRecord(
        0,
        ('2379374.jpg',),
        ('the cup is on the table', 'the table is on the cup'),
        (33, 86, 212, 180),
        dict(category='on'),
    )
    (record,) = read([ATTRIBUTION], 'aro')
    assert record.extras == dict(category='white_round')


def test_aro_order(read):
    test_case = {
        'image': 'val2014/COCO_val2014_000000391895.jpg',
        'caption_options': ['a man with a hat', 'a hat with a man', 'A man, with a hat.', 'with man a a hat', 'hat a'],
    }
    (record,) = read([test_case], 'aro_order')
    # The second shuffle is the caption itself, but for signs that are not read.
    captions = ('a man with a hat', 'a hat with a man', 'with man a a hat', 'hat a')
    assert record == CaptionRecord(0, (test_case['image'],), captions, None, dict(category='order'))


def test_msrvtt(read):
    text = 'key,vid_key,video_id,sentence\nret0,msr9770,video9770,a person is connecting\nret1,msr1,video1,"x, y"\n'
    assert read(text, 'msrvtt') == [
        CaptionRecord(0, ('video9770.mp4',), ('a person is connecting',)),
        CaptionRecord(1, ('video1.mp4',), ('x, y',)),
    ]


def test_empty_lines_of_a_csv_count_for_nothing(read):
    assert [r.row for r in read(f'{HEAD}\n{ROW}\n\n{ROW}\n', 'msrvtt')] == [0, 1]


UNUSABLE = [
    ('"a\\u0000.jpg"', '"x"', 'null', r"record 1, path: 'a\x00.jpg' holds NUL at letter 1"),
    (
        '"a.jpg"',
        '"x \\ud83d"',
        'null',
        r"record 1, caption: 'x \ud83d' holds '\ud83d', half of a surrogate pair, at lett",
    ),
    ('"a.jpg"', '["x", "y \\u0000"]', 'null', 'record 1, caption: '),
    ('"a.jpg"', '"x"', '[1, 2, NaN, 4]', 'record 1, box: (1, 2, nan, 4) must be finite numbers'),
    ('"a.jpg"', '"x"', '[1, 2, 1e999, 4]', 'record 1, box: (1, 2, inf, 4) must be finite numbers'),
    ('"a.jpg"', '"x"', f'[1, 2, 1{"0" * 400}, 4]', 'record 1, box: (1, 2, 1000'),
]


@pytest.mark.parametrize(('image', 'caption', 'box', 'message'), UNUSABLE)
def test_what_keeps_the_format_and_cannot_be_used(read, image, caption, box, message):
    good = '{"image": "b.jpg", "caption": "y"}'
    text = f'[{good}, {{"image": {image}, "caption": {caption}, "bbox": {box}}}, {good}]'
    with pytest.raises(ValueError, match='ann') as raised:
        read(text, 'albef')
    assert message in str(raised.value) and str(raised.value).isprintable()
    broken = []
    assert [r.row for r in read(text, 'albef', broken=broken)] == [0, 2]
    assert broken == [str(raised.value)]


def test_a_picture_of_a_broken_url_is_told(read):
    table = {'image_urls': ['http://x/\ud800.jpg'], 'captions': ['one']}
    with pytest.raises(ValueError, match=r"ann, record 0, path: '\\ud800\.jpg' holds"):
        read(table, 'sbu', file_name='{basename}')


def test_an_empty_array_has_no_record(read):
    assert read('[ ]\n', 'albef') == []


def changed(record, **fields):
    return {key: value for key, value in {**record, **fields}.items() if value is not ...}


@pytest.mark.parametrize(
    ('content', 'settings', 'message'),
    [
        ({'images': [changed(COCO['images'][0], split=...)]}, 'karpathy', "record 0, field 'split': is missing"),
        ({'images': [changed(COCO['images'][0], sentences=[])]}, 'karpathy', "record 0, field 'sentences': is empty"),
        (
            {'images': [COCO['images'][1], changed(COCO['images'][0], sentences=[{'tokens': []}])]},
            'karpathy',
            "record 1, 'sentences' 0, field 'raw': is missing",
        ),
        ({'annotations': []}, 'karpathy', "field 'images': is missing; the record has ['annotations']"),
        ('{"images": [\n}', 'karpathy', 'ann:2: broken JSON'),
        (
            [{'image': 'a.jpg', 'caption': 'x'}, {'image': 7, 'caption': 'x'}],
            'albef',
            "record 1, field 'image': 7 must",
        ),
        ([{'image': 'a.jpg', 'caption': [3]}], 'albef', "record 0, field 'caption': [3] must be a string or a list"),
        ([{'image': 'a.jpg', 'caption': 'x', 'bbox': [1, 2, 3]}], 'albef', "field 'bbox': [1, 2, 3] must be four numb"),
        (
            [{'image': 'a.jpg', 'caption': 'x', 'bbox': [1, 2, 3, True]}],
            'albef',
            "field 'bbox': [1, 2, 3, True] must be",
        ),
        ([5], 'albef', 'record 0: 5 must be a JSON object'),
        ('[{"image": "a", "caption": "b", "image": "c"}]', 'albef', "in record 0 at column 33: the key 'image' stands"),
        ('[{"image": "a", "caption": "b"}\n{}]', 'albef', "'{}]' before record 1, where a JSON array has ','"),
        ('[{"image": "a", "caption": "b"},\n}]', 'albef', 'ann:2: broken JSON in record 1 at column 1'),
        ('[{"image": "a", "caption": "b"}', 'albef', "'' before record 1"),
        ('[{"image": "a", "caption": "b"}]\n]', 'albef', "']' after the end of the JSON array"),
        ('a\thttp://x/1\nb http://x/2\n', 'url_table', 'record 1: '),
        ('a\t\n', 'url_table', "record 0, field 'url': '' must be a string with some text"),
        ({'image_urls': ['a'], 'captions': []}, 'sbu', "field 'captions': has 0 entries, image_urls has 1"),
        ({'image_urls': ['a'], 'captions': [3]}, 'sbu', "record 0, field 'captions': 3 must be a string"),
        ([{'id': 1, 'regions': [{'image_id': 1}]}], 'visual_genome', "record 0, 'regions' 0, field 'x': is missing"),
        (json.dumps(changed(WINOGROUND, collapsed_tag=...)), 'winoground', "record 0, field 'collapsed_tag'"),
        (json.dumps(changed(WINOGROUND, num_main_preds='1')), 'winoground', "'num_main_preds': '1' must be a number"),
        ([changed(RELATION, bbox_w='9')], 'aro', "record 0, field 'bbox_w': '9' must be a number"),
        ([changed(ATTRIBUTION, attributes=5)], 'aro', "record 0, field 'attributes': 5 must be a string or a list"),
        ({'images': []}, 'coco', "field 'annotations': is missing; the record has ['images']"),
        ({**COCO_OWN, 'images': COCO_OWN['images'][1:]}, 'coco', "'annotations' 1, field 'image_id': 397133 is the id"),
        (
            {**COCO_OWN, 'images': COCO_OWN['images'] * 2},
            'coco',
            "'images' 3, field 'id': 397133 is that of an image",
        ),
        (
            {'images': [{'id': 1, 'file_name': 'a'}], 'annotations': [{'id': 1, 'image_id': 1, 'bbox': []}]},
            'coco',
            "'annotations' 0, field 'caption': is missing; the record has ['bbox', 'id', 'image_id']",
        ),
        ('a.jpg#0\tx\na.jpg#1 y\n', 'flickr8k', "record 1: 'a.jpg#1 y\\n' must be 'picture.jpg#0', a tab and the cap"),
        ('a.jpg\tx\n', 'flickr8k', 'record 0: '),
        ('image,caption\n,x\n', 'csv', "ann:2, record 0: the name of the picture, made of '{image}', is empty"),
        ('image,text\na,x\n', 'csv', "record 0: caption '{caption}' must be made of ['image', 'text']"),
        ('image,caption\na\n', 'csv', "ann:2, record 0: caption '{caption}' must be made of ['image']"),
        ([{'image': 'a', 'caption_options': ['x']}], 'aro_order', "'caption_options': ['x'] must be the caption and"),
        ([{'image': 'a', 'captions': ['x']}], 'aro_order', "field 'caption_options': is missing"),
        ('key,vid_key,video_id\nr,m,v\n', 'msrvtt', "record 0, field 'sentence': is missing"),
        ('key,vid_key,video_id,sentence\nr,m,v,a, b\n', 'msrvtt', "record 0: [' b'] beyond the last column"),
        ('key,vid_key,video_id\nr,m,v,a\n', 'msrvtt', "record 0: ['a'] beyond the last column"),
        ('video_id,sentence,video_id\na,b,c\n', 'msrvtt', 'ann:1: a column stands twice in the header'),
        (
            f'{HEAD}{ROW}r,m,v,"a b\n{ROW}{ROW}',
            'msrvtt',
            'ann:3: broken CSV: unexpected end of data, a quote is not cl',
        ),
        (f'{HEAD}{ROW}\nr,m,v,"a b\n{ROW}r,m,v,"c"\n', 'msrvtt', "ann:4: broken CSV: ',' expected after"),
        (
            f'{HEAD}{ROW}r,m,v,"a b\n{ROW}r,m,v,c"\n',
            'msrvtt',
            'ann:3: a text runs on to line 5; is its quote not closed',
        ),
        (f'{HEAD}{ROW}r,m,v,{"a" * 131073}\n', 'msrvtt', 'ann:3: broken CSV: field larger than field limit (131072)'),
    ],
)
def test_errors_name_file_record_and_field(read, content, settings, message):
    more = dict(karpathy=dict(split='test'), url_table=dict(file_name='{row}'), sbu=dict(file_name='{row}'))
    with pytest.raises(ValueError, match='ann') as raised:
        read(content, settings, **more.get(settings, {}))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ('faces', 'message'),
    [
        ('[[1, 2, 3]]', 'must be a list of faces [x1, y1, x2, y2] in pixels'),
        ('[[3, 2, 1, 4]]', 'must be a list of faces'),
        ('[[1, 2, NaN, 4]]', 'must be a list of faces'),
        ('{}', 'must be a list of faces'),
        ('[[1, 2', "field 'faces':1: broken JSON"),
    ],
)
def test_bad_faces(read, faces, message):
    with pytest.raises(ValueError, match=r"ann:2, record 0, field 'faces'") as raised:
        read(f'image,caption,faces\na.jpg,A man,"{faces}"\n', 'csv', faces='faces')
    assert message in str(raised.value)


def test_a_list_must_fit_its_captions(read, tmp_path):
    with pytest.raises(FileNotFoundError, match='none.txt: no such annotation file'):
        read(TOKENS, 'flickr8k', images='none.txt')
    (tmp_path / 'list').write_text('1001773457_577c3a7d70.jpg\n\nb.jpg\n')
    with pytest.raises(ValueError, match=r"list:3: .*ann has no caption of 'b\.jpg'"):
        read(TOKENS, 'flickr8k', images='list')
    (tmp_path / 'list').write_text('b.jpg\n\nb.jpg\n')
    with pytest.raises(ValueError, match=r"list:3: 'b\.jpg' stands there twice, first in line 1"):
        read(TOKENS, 'flickr8k', images='list')


def test_sugarcrepe_errors(tmp_path):
    with pytest.raises(ValueError, match=r'no \*\.json in it'):
        list(read_captions(str(tmp_path), 'sugarcrepe'))
    (tmp_path / 'swap_obj.json').write_text(json.dumps({'3': {'filename': 'a.jpg', 'caption': 'x'}}))
    with pytest.raises(ValueError, match=r"swap_obj\.json, record 3, field 'negative_caption': is missing"):
        list(read_captions(str(tmp_path), 'sugarcrepe'))


def test_a_region_s_file_name_is_made_of_what_there_is(read):
    regions = [{'regions': [{'image_id': 1, 'x': 0, 'y': 0, 'width': 1, 'height': 1, 'phrase': 'a'}]}]
    with pytest.raises(ValueError, match=r"file_name '\{id\}\.jpg' must be made of \['image_id'\]"):
        read(regions, 'visual_genome', file_name='{id}.jpg')


@pytest.mark.parametrize(
    ('type', 'settings', 'message'),
    [
        ('coca', {}, f"reader 'coca' is unknown; choose one of {sorted(READERS)}"),
        ('karpathy', dict(split='restval'), "must be 'train', 'val' or 'test', got 'restval'"),
        ('karpathy', {}, "reader 'karpathy': missing a required argument: 'split'; its settings are: split"),
        ('coco', dict(list='x'), "reader 'coco': got an unexpected keyword argument 'list'; its settings are: none"),
        ('url_table', dict(file_name='{row}', columns=('url', 'text')), "got ('url', 'text')"),
        ('url_table', dict(file_name='{number}.jpg'), "file_name '{number}.jpg' must be made of ['basename', 'crc32'"),
    ],
)
def test_wrong_settings(read, type, settings, message):
    with pytest.raises(ValueError, match='.') as raised:
        read('a\tb\n', type, **settings)
    assert message in str(raised.value)


@pytest.mark.parametrize('type', READERS)
def test_missing_file_says_where_data_go(tmp_path, type):
    with pytest.raises(FileNotFoundError, match=r'none: no such annotation file; docs/data\.md says where'):
        read_captions(str(tmp_path / 'none'), type)
