"""``mmvlforge check``, ``proofread`` and ``search`` as a user types them."""

import base64
import io
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mmvlforge import RetrievalInferencer
from mmvlforge.cli import main


@pytest.fixture(scope='module')
def picture(mini_set):
    record = json.loads((mini_set / 'metadata/test.json').read_text())[0]
    return str(mini_set / record['image'])


def test_check_prints_the_answer_and_draws_it(detector, picture, tmp_path, capsys):
    model = ['--model', str(detector / 'tiny.py'), str(detector / 'tiny.pth')]
    assert main(['check', picture, 'a caption', *model, '--save', str(tmp_path / 'answer.png')]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith(('real, P(fake) = 0.', 'fake, P(fake) = 0.', 'inconclusive, P(fake) = 0.'))
    assert lines[1].startswith('  after recompression (JPEG quality 75) P(fake) = 0.')
    assert lines[2].startswith('  after resizing (to 75% of each side) P(fake) = 0.')
    assert lines[3].startswith('  content credentials (C2PA): ') and lines[4] == '  software by EXIF: none'
    assert [line.split()[:2] for line in lines[5:9]] == [
        ['face', 'swap'],
        ['face', 'attribute'],
        ['text', 'swap'],
        ['text', 'attribute'],
    ]
    assert lines[9].startswith('manipulated region: ') and lines[10].startswith('manipulated words: ')
    assert len(lines) == 11
    warnings = [line for line in err.splitlines() if 'turns the verdict' not in line]
    assert warnings == ['warning: not calibrated: scores are raw', 'warning: the model knows only drawn scenes']
    assert Image.open(tmp_path / 'answer.png').width >= 480


def test_check_as_json_by_folder(detector, picture, capsys):
    assert main(['check', picture, 'a caption', '--model', str(detector), '--json']) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)['schema'] == 'mmvlforge.check/1' and err == ''


def test_check_of_a_picture_or_a_caption_alone(detector, picture, capsys):
    assert main(['check', picture, '--model', str(detector)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith('no verdict\n') and 'manipulated words' not in out and 'no caption: not judged' in err
    assert main(['check', '-', 'a caption', '--model', str(detector)]) == 0
    out, err = capsys.readouterr()
    assert 'face swap        -' in out and 'manipulated region' not in out and 'no picture: not judged' in err


def test_proofread(retriever, tmp_path, capsys):
    args = ['proofread', str(retriever / '1.png'), 'a zebra of colour green', '--model', str(retriever)]
    assert main([*args, '--threshold', '0', '--save', str(tmp_path / 'answer.jpg')]) == 0
    out, err = capsys.readouterr()
    assert [line.split(':')[0] for line in out.splitlines()] == ['a', 'of', 'colour', 'green']
    assert 'P(wrong) = 0.' in out and '; rather ' in out and '[UNK]' not in out
    assert 'not in the vocabulary: zebra' in err and (tmp_path / 'answer.jpg').is_file()
    assert main([*args, '--threshold', '1']) == 0
    assert capsys.readouterr().out == 'no word held for wrong; 1 words were not judged\n'
    assert main([*args, '--json']) == 0
    assert json.loads(capsys.readouterr().out)['schema'] == 'mmvlforge.proofread/1'


@pytest.mark.parametrize(
    ('args', 'told'),
    [
        (['check', 'none.jpg', 'a caption'], 'none.jpg cannot be read'),
        (['check', 'none.jpg', 'a caption', '--cfg-options', 'model.neck.num_heads=x'], 'error:'),
        (['proofread', 'none.jpg', 'a caption'], 'is no dual encoder'),
    ],
)
def test_mistakes(detector, args, told, capsys):
    assert main([*args, '--model', str(detector)]) == 2
    err = capsys.readouterr().err
    assert told in err and 'Traceback' not in err


@pytest.fixture
def photos(retriever, tmp_path) -> Path:
    """Six pictures, one of them deeper and one with a name that is not UTF-8, a text, and what is no picture."""
    folder = tmp_path / 'photos'
    (folder / 'deeper').mkdir(parents=True)
    for i in range(4):
        shutil.copy(retriever / f'{i}.png', folder)
    shutil.copy(retriever / '4.png', folder / 'deeper')
    Image.open(retriever / '5.png').resize((900, 600)).save(os.fsencode(folder) + b'/caf\xe9.png', 'PNG')
    (folder / 'notes.txt').write_text('nothing')
    (folder / 'broken.jpg').write_bytes(b'nothing')
    return folder


def test_search_prints_the_best_pictures_and_writes_a_page(retriever, photos, tmp_path, capsys):
    queries = ['a picture of colour red', 'a <b>zebra</b>']
    page = tmp_path / 'new/found.html'
    args = ['search', str(photos), *queries, '--model', str(retriever), '--device', 'cpu', '--topk', '2']
    assert main([*args, '--out', str(page)]) == 3
    out, err = capsys.readouterr()
    ask = RetrievalInferencer(retriever, device='cpu')
    files = [*(str(photos / f'{i}.png') for i in range(4)), str(photos / 'deeper/4.png')]
    files.append(os.fsdecode(os.fsencode(photos) + b'/caf\xe9.png'))
    scores = ask.encode_texts(queries) @ ask.encode_images(files).T
    shown = [file.encode('ascii', 'backslashreplace').decode() for file in files]
    wanted = []
    for query, row in zip(queries, scores):
        wanted.append(query)
        wanted += [f'  {row[i]:.2f}  {shown[i]}' for i in (-row).argsort()[:2]]
    assert out.splitlines() == [*wanted, f'page: {page}']
    assert 'warning: the model knows only drawn scenes' in err and 'not in the vocabulary: <b>zebra< b>' in err
    assert f'left out: {photos}/broken.jpg' in err
    html = page.read_text(encoding='utf-8')
    assert 'Found among 7 pictures' in html and 'Searched by tiny.' in html and f'{photos}/broken.jpg' in html
    assert '<h2>a &lt;b&gt;zebra&lt;/b&gt;</h2>' in html and 'http' not in html
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert len(pictures) == 4
    for picture in pictures:
        assert max(Image.open(io.BytesIO(base64.b64decode(picture))).size) <= 320


def test_a_search_of_sound_pictures_that_needs_no_page(retriever, photos, capsys):
    (photos / 'broken.jpg').unlink()
    assert main(['search', '--model', str(retriever), str(photos), 'red car', '--device', 'cpu']) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 + 6 and 'left out' not in err


@pytest.mark.parametrize(
    ('args', 'told'),
    [
        (['none', 'red'], 'none: is no folder, whose pictures could be searched'),
        (['photos/0.png', 'red'], 'photos/0.png: is no folder'),
        (['photos/deeper/empty', 'red'], 'empty: no picture in this folder'),
        (['photos/broken', 'red'], 'photos/broken: of 1 pictures none can be read, the first: '),
        (['photos', 'red', '!!'], "caption '!!': has no word in it"),
        (['photos'], "Missing argument 'WORDS ...'"),
    ],
)
def test_mistakes_of_a_search(retriever, photos, monkeypatch, args, told, capsys):
    for name in ('deeper/empty', 'broken'):
        (photos / name).mkdir()
    (photos / 'broken.jpg').rename(photos / 'broken/broken.jpg')
    monkeypatch.chdir(photos.parent)
    assert main(['search', *args, '--model', str(retriever), '--device', 'cpu']) == 2
    err = ' '.join(capsys.readouterr().err.split())
    assert told in err and 'Traceback' not in err


def test_a_detector_does_not_search(detector, photos, capsys):
    assert main(['search', str(photos), 'red', '--model', str(detector)]) == 2
    assert 'a ManipulationDetector is no dual encoder' in capsys.readouterr().err
