"""Models for onnxruntime: they answer as ours do, for whoever has none of our code."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from project import ROOT
from transformers import AutoTokenizer

from mmvlforge import ManipulationInferencer, RetrievalInferencer
from mmvlforge.apis.inputs import Query
from mmvlforge.cli import main
from mmvlforge.export import onnx as export_module

onnxruntime = pytest.importorskip('onnxruntime')


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])


def read(file, told):
    """A picture as onnx.json says it, by Pillow alone."""
    picture = Image.open(file).convert('RGB').resize((told['width'], told['height']), Image.Resampling.BICUBIC)
    return np.asarray(picture)[None]


def test_both_towers_of_a_retriever(retriever, tmp_path, capsys):
    out = tmp_path / 'model'
    assert main(['export', str(retriever), str(out), '--pairs', '0', '--onnx']) == 0
    assert 'image.onnx: ' in (said := capsys.readouterr().out) and 'off the model' in said
    told = json.loads((out / 'onnx.json').read_text())
    assert told['schema'] == 'mmvlforge.onnx/1' and set(told['files']) == {'image.onnx', 'text.onnx'}
    ask = RetrievalInferencer(out, device='cpu')
    images, texts = session(out / 'image.onnx'), session(out / 'text.onnx')
    files = [str(retriever / f'{n}.png') for n in range(3)]
    vectors = images.run(None, dict(images=np.concatenate([read(file, told) for file in files])))[0]
    assert np.allclose(vectors, ask.encode_images(files), atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(out / told['tokenizer'])
    for caption in ('cars', 'a picture of colour red', 'two red cars near a blue car in colour'):
        encoded = tokenizer(caption.split(), is_split_into_words=True, truncation=True, max_length=told['max_length'])
        given = dict(
            input_ids=encoded['input_ids'],
            attention_mask=[1] * len(encoded['input_ids']),
            word_mask=[int(word is not None) for word in encoded.word_ids()],
        )
        fed = {name: np.array([given[name]], np.int64) for name in told['files']['text.onnx']['inputs']}
        assert np.allclose(texts.run(None, fed)[0], ask.encode_texts([caption]), atol=1e-4), caption


def test_the_example_of_the_docs(retriever, tmp_path, monkeypatch, capsys):
    code = re.findall(r'```python\n(import json\n.*?)```', (ROOT / 'docs/weights.md').read_text(), re.S)
    assert main(['export', str(retriever), str(tmp_path / 'my_onnx_model'), '--pairs', '0', '--onnx']) == 0
    Image.open(retriever / '0.png').save(tmp_path / 'picture.jpg', quality=95)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(code[0], {})
    ask = RetrievalInferencer('my_onnx_model', device='cpu')
    wanted = ask.encode_images(['picture.jpg']) @ ask.encode_texts(['a dog in the snow']).T
    assert float(capsys.readouterr().out.strip('[]\n')) == pytest.approx(wanted.item(), abs=1e-4)


def test_a_whole_detector(detector, mini_set, tmp_path):
    out = tmp_path / 'model'
    assert main(['export', str(detector), str(out), '--pairs', '0', '--onnx']) == 0
    told = json.loads((out / 'onnx.json').read_text())
    assert told['types'] == ['face_swap', 'face_attribute', 'text_swap', 'text_attribute']
    check = ManipulationInferencer(out, device='cpu', stability=False, provenance=False)
    run = session(out / 'detector.onnx')
    names = [one.name for one in run.get_outputs()]
    assert names == ['fake_score', 'type_scores', 'box', 'token_scores']
    for record in json.loads((mini_set / 'metadata/test.json').read_text())[:3]:
        file = str(mini_set / record['image'])
        item = check.prepared(Query(file, record['text']))
        packed = item.packed['inputs']
        fed = dict(
            images=packed['image'].flip(0).permute(1, 2, 0)[None].numpy(),
            input_ids=packed['input_ids'][None].numpy(),
            attention_mask=np.ones((1, len(packed['input_ids'])), np.int64),
            word_mask=packed['word_mask'][None].long().numpy(),
        )
        found = dict(zip(names, run.run(None, {name: fed[name] for name in told['files']['detector.onnx']['inputs']})))
        (wanted,) = check((file, record['text']))['predictions']
        assert found['fake_score'][0] == pytest.approx(wanted['fake_score'], abs=1e-4)
        assert found['type_scores'][0].tolist() == pytest.approx(list(wanted['types'].values()), abs=1e-4)
        words = [score for score, mask in zip(found['token_scores'][0], packed['word_mask'][1:]) if mask]
        assert max(words) == pytest.approx(max(word['fake_score'] for word in wanted['words']), abs=1e-4)


def test_other_answers_than_the_models_are_not_kept(retriever, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export_module, 'TOLERANCE', -1.0)
    out = tmp_path / 'model'
    assert main(['export', str(retriever), str(out), '--pairs', '0', '--onnx']) == 2
    assert 'image.onnx: its answers are up to' in capsys.readouterr().err
    assert not list(out.glob('*.onnx')) and (out / 'model.safetensors').is_file()
