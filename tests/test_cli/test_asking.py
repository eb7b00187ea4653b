"""``mmvlforge check`` and ``proofread`` as a user types them."""

import json

import pytest
from PIL import Image

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
    assert lines[0].startswith(('real, P(fake) = 0.', 'fake, P(fake) = 0.'))
    assert [line.split()[:2] for line in lines[1:5]] == [
        ['face', 'swap'],
        ['face', 'attribute'],
        ['text', 'swap'],
        ['text', 'attribute'],
    ]
    assert lines[5].startswith('manipulated region: ') and lines[6].startswith('manipulated words: ')
    assert len(lines) == 7
    assert err == 'warning: not calibrated: scores are raw\nwarning: the model knows only drawn scenes\n'
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
