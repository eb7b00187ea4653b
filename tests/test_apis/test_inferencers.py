"""The three inferencers, on tiny untrained models: forms, batches, precision, and what cannot be judged."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from project import inside

from mmvlforge import ManipulationInferencer, ProofreadInferencer, RetrievalInferencer
from mmvlforge.structures import VLDataSample

CHECK = {
    *('schema', 'id', 'image', 'image_sha256', 'caption', 'verdict', 'fake_score', 'calibrated', 'threshold'),
    *('inconclusive_band', 'types', 'box', 'words', 'unread_words', 'stability', 'provenance', 'warnings', 'model'),
}


@pytest.fixture(scope='module')
def check(detector) -> ManipulationInferencer:
    return ManipulationInferencer(detector)


@pytest.fixture(scope='module')
def pairs(mini_set) -> list:
    """Pictures with captions of the test split, by record."""
    records = json.loads((mini_set / 'metadata/test.json').read_text())
    return [(str(mini_set / record['image']), record['text']) for record in records]


def strip(results: list) -> list:
    return [{**result, 'image': None} for result in results]


def test_a_check_has_every_field_and_is_plain(check, pairs):
    image, caption = pairs[0]
    answer = check((image, caption))
    (result,) = answer['predictions']
    assert set(result) == CHECK and answer['visualization'] == []
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result['schema'] == 'mmvlforge.check/1'
    assert (result['image'], result['caption'], result['calibrated']) == (image, caption, False)
    assert result['verdict'] == ('fake' if result['fake_score'] > 0.5 else 'real')
    assert list(result['types']) == ['face_swap', 'face_attribute', 'text_swap', 'text_attribute']
    assert [word['word'] for word in result['words']] == caption.split()
    assert all(0 <= word['fake_score'] <= 1 for word in result['words'])
    assert [result[name] for name in ('threshold', 'inconclusive_band', 'stability', 'provenance')] == [None] * 4
    assert result['model']['trained_on'] == 'drawn scenes (mmvlforge forge news)'
    assert result['warnings'] == ['not calibrated: scores are raw', 'the model knows only drawn scenes']


def test_a_box_is_cut_at_the_picture(check):
    sample = VLDataSample(metainfo=dict(ori_shape=(30, 40)))
    assert check._box(sample) is None
    sample.pred_box = torch.tensor([-3.0, 5.0, 20.06, 31.0])
    assert check._box(sample) == [0, 5, 20.1, 30]


def test_it_says_what_testing_says(check, pairs, detector, mini_set, tmp_path):
    from mmvlforge.apis.running import test

    out = tmp_path / 'predictions.jsonl'
    test(str(detector / 'tiny.py'), str(detector / 'tiny.pth'), str(tmp_path), predictions=str(out))
    rows = sorted(map(json.loads, out.read_text().splitlines()), key=lambda row: row['index'])
    assert len(rows) == len(pairs)
    for row, result in zip(rows, check(pairs, batch_size=4)['predictions']):
        assert result['fake_score'] == pytest.approx(row['fake_score'], abs=1e-5)
        logits = [np.log(p / (1 - p)) for p in result['types'].values()]
        assert logits == pytest.approx(list(row['type_scores'].values()), abs=1e-3)
        assert (result['box'] is None) == (row['box'] is None)
        if row['box']:
            assert result['box'] == pytest.approx(inside(row), abs=0.06)
        marked = {word for word, fake in zip(row['word_ids'], row['fake_tokens']) if fake}
        assert [word['marked'] for word in result['words']] == [i in marked for i in range(len(result['words']))]


def test_any_batch_and_any_form_give_the_same(check, pairs, tmp_path):
    (tmp_path / 'pairs.jsonl').write_text(''.join(json.dumps(dict(image=i, caption=c)) + '\n' for i, c in pairs))
    arrays = [(np.asarray(Image.open(image).convert('RGB')), caption) for image, caption in pairs]
    one = strip(check(pairs, batch_size=1)['predictions'])
    for results in (
        check(pairs, batch_size=5)['predictions'],
        check(tmp_path / 'pairs.jsonl')['predictions'],
        list(check.stream((pair for pair in pairs), batch_size=3)),
        check(arrays)['predictions'],
    ):
        for result, expected in zip(strip(results), one, strict=True):
            assert result['fake_score'] == pytest.approx(expected['fake_score'], abs=1e-3)
            assert result['caption'] == expected['caption'] and len(result['words']) == len(expected['words'])


def test_generators_are_read_as_results_are_taken(check, pairs):
    asked = []

    def source():
        for pair in pairs:
            asked.append(pair)
            yield pair

    results = check.stream(source(), batch_size=2)
    next(results)
    assert len(asked) <= 4


def test_a_picture_alone_and_a_caption_alone(check, pairs):
    image, caption = pairs[0]
    alone, words = check([image, dict(caption=caption)])['predictions']
    assert set(alone) == set(words) == CHECK
    assert alone['verdict'] is alone['fake_score'] is words['verdict'] is words['fake_score'] is None
    assert alone['words'] == [] and alone['caption'] is None
    assert [name for name, value in alone['types'].items() if value is None] == ['text_swap', 'text_attribute']
    assert [name for name, value in words['types'].items() if value is None] == ['face_swap', 'face_attribute']
    assert words['box'] is None and words['image_sha256'] is None and len(words['words']) == len(caption.split())
    assert any('no caption: not judged are verdict, text swap' in text for text in alone['warnings'])
    assert any('no picture: not judged are verdict, face swap' in text for text in words['warnings'])


def test_a_model_without_eyes_judges_captions_alone(detector, tmp_path, pairs):
    cfg = Config.fromfile(str(detector / 'tiny.py'))
    cfg.model.image_encoder = dict(type='NullImageEncoder', embed_dims=32)
    pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.test_dataloader.dataset.pipeline = [t for t in pipeline if t.type not in ('LoadImage', 'Resize')]
    cfg.model.box_head = None
    cfg.dump(tmp_path / 'blind.py')
    from mmvlforge.registry import MODELS

    torch.save(MODELS.build(cfg.model).state_dict(), tmp_path / 'blind.pth')
    blind = ManipulationInferencer(tmp_path)
    result = blind(dict(caption=pairs[0][1]))['predictions'][0]
    assert result['verdict'] in ('real', 'fake') and result['box'] is None
    assert any('a model that reads no pictures: not judged are face swap' in text for text in result['warnings'])


def test_words_beyond_the_limit_are_counted(check, pairs):
    result = check((pairs[0][0], 'word ' * 200))['predictions'][0]
    read = [word for word in result['words'] if word['fake_score'] is not None]
    assert result['unread_words'] == 200 - len(read) > 100
    assert f'{result["unread_words"]} words lie beyond the limit and were not read' in result['warnings']


def test_boxes_are_in_the_picture_as_a_person_sees_it(check, pairs, tmp_path):
    image = Image.open(pairs[0][0]).convert('RGB').resize((200, 100))
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[274] = 6  # turn it clockwise to see it
    turned.save(tmp_path / 'turned.png', exif=exif)
    image.save(tmp_path / 'plain.png')
    one, other = check([(tmp_path / name, 'a caption') for name in ('turned.png', 'plain.png')])['predictions']
    assert one['fake_score'] == pytest.approx(other['fake_score'], abs=1e-6)
    assert one['box'] == pytest.approx(other['box'], abs=0.11) if one['box'] else other['box'] is None


def test_broken_pictures_stop_or_are_reported(check, pairs, tmp_path):
    (tmp_path / 'broken.jpg').write_bytes(b'no picture')
    inputs = [pairs[0], (tmp_path / 'broken.jpg', 'x'), (tmp_path / 'none.jpg', 'y'), pairs[1]]
    with pytest.raises(ValueError, match=r'broken.jpg cannot be read'):
        check(inputs)
    results = list(check.stream(inputs))
    assert ['error' in result for result in results] == [False, True, True, False]
    assert results[1]['image'] == str(tmp_path / 'broken.jpg') and 'none.jpg' in results[2]['error']
    assert set(results[1]) == CHECK | {'error'} and results[1]['verdict'] is None
    drawn = check(inputs, on_error='report', draw=True)
    assert [picture is None for picture in drawn['visualization']] == [False, True, True, False]
    with pytest.raises(ValueError, match="on_error must be 'report' or 'raise'"):
        check(inputs, on_error='ignore')
    with pytest.raises(ValueError, match='unknown arguments'):
        check(inputs, drow=True)


def test_pictures_of_answers(check, pairs):
    answer = check(pairs[:2], draw=True)
    assert len(answer['visualization']) == 2
    assert all(picture.dtype == np.uint8 and picture.shape[1] >= 480 for picture in answer['visualization'])


def test_a_device_that_is_not_there(detector):
    with pytest.raises(ValueError, match="device 'foo' cannot be used"):
        ManipulationInferencer(detector, device='foo')


def test_bfloat16(detector, pairs, check):
    half = ManipulationInferencer(detector, bf16=True)(pairs[0])['predictions'][0]
    assert half['fake_score'] == pytest.approx(check(pairs[0])['predictions'][0]['fake_score'], abs=0.03)


def test_the_wrong_kind_of_model_is_told(detector, retriever):
    with pytest.raises(ValueError, match='its RetrievalDataset names no image_types'):
        ManipulationInferencer(retriever)
    for kind in (RetrievalInferencer, ProofreadInferencer):
        with pytest.raises(ValueError, match='a ManipulationDetector is no dual encoder'):
            kind(detector)


def test_vectors_of_pictures_and_captions_alone(retriever):
    model = RetrievalInferencer(retriever)
    captions = ['a picture of colour red', 'A PICTURE, of colour blue!', 'green cars']
    files = [retriever / f'{i}.png' for i in range(6)]
    images, texts = model.encode_images(files, batch_size=4), model.encode_texts(captions)
    assert images.shape == (6, 16) and texts.shape == (3, 16) and images.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    both = model([(files[i], captions[i]) for i in range(3)])['predictions']
    for row, result in enumerate(both):
        np.testing.assert_allclose(result['image_embedding'], images[row], atol=1e-5)
        np.testing.assert_allclose(result['text_embedding'], texts[row], atol=1e-5)
        assert result['similarity'] == pytest.approx(images[row] @ texts[row], abs=1e-5)
    mixed = model([files[0], dict(caption=captions[0]), (files[0], captions[0])])['predictions']
    assert mixed[0]['text_embedding'] is None and mixed[1]['image_embedding'] is None
    assert mixed[0]['similarity'] is mixed[1]['similarity'] is None
    assert mixed[2]['similarity'] == pytest.approx(both[0]['similarity'], abs=1e-5)
    assert len(model(files[0], draw=True)['visualization']) == 1


def test_a_folder_of_pictures(retriever):
    model = RetrievalInferencer(retriever)
    np.testing.assert_allclose(
        model.encode_images(retriever), model.encode_images([retriever / f'{i}.png' for i in range(6)])
    )
    with pytest.raises(ValueError, match='no picture in input 0'):
        model.encode_images([dict(caption='a')])
    with pytest.raises(ValueError, match='no picture in the inputs'):
        model.encode_images([])
    with pytest.raises(ValueError, match='no word in it'):
        model.encode_texts(['!?'])
    for wrong in ([None], [5], 'a car'):
        with pytest.raises(ValueError):
            model.encode_texts(wrong)
    one, other = model.stream([dict(caption='!?'), dict(caption='a car')])
    assert 'no word in it' in one['error'] and 'error' not in other


def test_vectors_are_those_of_the_model(retriever):
    from mmvlforge.apis.retrieval import TrainedRetriever

    trained = TrainedRetriever(str(retriever / 'tiny.py'), str(retriever / 'tiny.pth'), {})
    features = trained.features()
    model = RetrievalInferencer(retriever)
    np.testing.assert_allclose(model.encode_images(features.paths), features.image, atol=1e-5)
    np.testing.assert_allclose(model.encode_texts(features.captions), features.text, atol=1e-5)


def test_proofreading(retriever):
    model = ProofreadInferencer(retriever, threshold=0.0)
    result = model((retriever / '1.png', 'A zebra, of colour GREEN cars!'))['predictions'][0]
    assert [word['word'] for word in result['words']] == ['a', 'zebra', 'of', 'colour', 'green', 'cars']
    by_word = {word['word']: word for word in result['words']}
    assert by_word['zebra'] == dict(word='zebra', known=False, wrong_score=None, marked=False, corrections=[])
    assert result['unknown_words'] == ['zebra'] and 'not in the vocabulary: zebra' in result['warnings']
    assert result['wrong_words'] == ['a', 'of', 'colour', 'green', 'cars']
    assert all(len(word['corrections']) == 3 for word in result['words'] if word['known'])
    # 'cars' is two tokens, of which one is replaced
    assert all('##' not in other['word'].removeprefix('##') for other in by_word['cars']['corrections'])
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert model((retriever / '1.png', 'green cars'), draw=True)['visualization'][0].shape[1] >= 480


def test_proofreading_agrees_with_the_model(retriever):
    from mmvlforge.apis.retrieval import TrainedRetriever

    trained = TrainedRetriever(str(retriever / 'tiny.py'), str(retriever / 'tiny.pth'), {})
    inputs, _ = trained.prepare([trained.pair(str(retriever / '1.png'), 'a green car')])
    with torch.no_grad():
        expected = trained.model.proofread(inputs)['global']
    words = ProofreadInferencer(retriever, path='global')((retriever / '1.png', 'a green car'))['predictions'][0][
        'words'
    ]
    assert [word['wrong_score'] for word in words] == pytest.approx(expected.wrong[0, 1:4].tolist(), abs=1e-5)


def test_proofreading_needs_both_and_a_path_that_is_there(retriever):
    with pytest.raises(ValueError, match=r"path 'middle': this model has local, global"):
        ProofreadInferencer(retriever, path='middle')
    with pytest.raises(ValueError, match='threshold must be a probability'):
        ProofreadInferencer(retriever, threshold=2)
    model = ProofreadInferencer(retriever)
    with pytest.raises(ValueError, match='proofreading needs a caption too'):
        model(retriever / '1.png')
    with pytest.raises(ValueError, match='proofreading needs a picture too'):
        model(dict(caption='a car'))
