"""The three inferencers, on tiny untrained models: forms, batches, precision, and what cannot be judged."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from project import inside

from mmvlforge import ManipulationInferencer, ProofreadInferencer, RetrievalInferencer
from mmvlforge.datasets.dgm4_check import format_of
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
    verdicts = {'fake' if score > 0.5 else 'real' for score in (result['fake_score'], *result['stability'].values())}
    assert result['verdict'] == (verdicts.pop() if len(verdicts) == 1 else 'inconclusive')
    assert list(result['types']) == ['face_swap', 'face_attribute', 'text_swap', 'text_attribute']
    assert [word['word'] for word in result['words']] == caption.split()
    assert all(0 <= word['fake_score'] <= 1 for word in result['words'])
    assert result['threshold'] is result['inconclusive_band'] is None
    assert list(result['stability']) == ['recompressed', 'resized']
    assert set(result['provenance']) == {'c2pa', 'c2pa_details', 'exif_software'}
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


def test_a_model_that_is_tested_on_several_sets_as_one(check, pairs, detector, tmp_path):
    cfg = Config.fromfile(str(detector / 'tiny.py'))
    part = dict(cfg.test_dataloader.dataset, lazy_init=True)
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[part, part])
    cfg.dump(str(tmp_path / 'several.py'))
    several = ManipulationInferencer(str(tmp_path / 'several.py'), str(detector / 'tiny.pth'))
    found, wanted = (ask(pairs[0])['predictions'][0] for ask in (several, check))
    assert {**found, 'model': None} == {**wanted, 'model': None}
    assert format_of(str(tmp_path / 'several.py'), 'test_dataloader')[0].image_types == (
        'real',
        *list(wanted['types'])[:2],
    )


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
    told = f'{result["unread_words"]} words lie beyond the limit and were not read'
    assert any(text.startswith(told) for text in result['warnings'])


def test_a_word_read_in_part_counts_as_unread(check, pairs):
    """50 tokens are 48 of words: 40 short ones, and a long one of which a part fits."""
    short, long = 'the ' * 40, 'Qwxzkvqj' * 4
    assert len(check.tokenizer(short.split(), is_split_into_words=True, add_special_tokens=False).input_ids) == 40
    whole, cut, beyond = (
        check((pairs[0][0], caption))['predictions'][0] for caption in (short, short + long, short + long + ' the the')
    )
    assert whole['unread_words'] == 0 and not any('beyond' in text for text in whole['warnings'])
    assert (cut['unread_words'], beyond['unread_words']) == (1, 3)
    assert f'1 words lie beyond the limit and were not read (a part of {long} was)' in cut['warnings']
    for result in (cut, beyond):
        assert [word['fake_score'] is None for word in result['words']][39:41] == [False, True]
        assert not result['words'][40]['marked']


def test_captions_are_read_as_those_of_the_training_set(check, pairs):
    image = pairs[0][0]
    written = check((image, "The man's dog, “José” – 92-story 犬!"))['predictions'][0]
    clean = check((image, 'The man s dog Jose 92story'))['predictions'][0]
    assert written['fake_score'] == pytest.approx(clean['fake_score'], abs=1e-5)
    words = [word['word'] for word in written['words']]
    assert words == ['The', "man's", 'dog,', '“José”', '–', '92-story', '犬!']
    scores = [word['fake_score'] for word in written['words']]
    expected = [word['fake_score'] for word in clean['words']]
    assert scores[1] == pytest.approx(max(expected[1:3]), abs=1e-5) and scores[4] is scores[6] is None
    assert scores[2:4] + scores[5:6] == pytest.approx(expected[3:], abs=1e-5)
    assert "read without letters and signs that no caption in training had: ' , “ é ” – - 犬 !" in written['warnings']
    assert 'not in the vocabulary: 犬!' in written['warnings']
    assert not any('no caption in training' in text for text in clean['warnings'])


def test_a_caption_of_which_nothing_is_read_gets_no_verdict(check, pairs):
    result = check((pairs[0][0], '犬 と 猫'))['predictions'][0]
    assert result['verdict'] is result['fake_score'] is result['types']['text_swap'] is None
    assert result['unread_words'] == 0 and [word['fake_score'] for word in result['words']] == [None] * 3
    assert any(
        text.startswith('no word of the caption that the model knows: not judged') for text in result['warnings']
    )


def test_how_captions_are_cleaned_is_a_setting(detector, check, pairs):
    image, caption = pairs[0][0], 'The man, a dog.'
    raw = ManipulationInferencer(detector, cfg_options=dict(caption_cleaning=None))((image, caption))['predictions'][0]
    assert not any('no caption in training' in text for text in raw['warnings'])
    assert raw['fake_score'] != check((image, caption))['predictions'][0]['fake_score']
    with pytest.raises(ValueError, match=r"caption_cleaning is 'dgm5', must be None or one of \['dgm4'\]"):
        ManipulationInferencer(detector, cfg_options=dict(caption_cleaning='dgm5'))


def test_letters_that_cannot_be_drawn_are_named(check, pairs):
    caption = 'a 犬 and ไ'
    told = 'drawn as □, for want of a face: U+72AC U+0E44'
    answer = check((pairs[0][0], caption), draw=True)
    assert told in answer['predictions'][0]['warnings']
    assert told not in check((pairs[0][0], caption))['predictions'][0]['warnings']


def test_long_captions_do_not_make_long_pictures(check, pairs):
    for caption in ('x' * 20_000, 'word ' * 5000):
        drawn = check((pairs[0][0], caption), draw=True)['visualization'][0]
        assert drawn.shape[0] < 3000 and drawn.shape[1] < 1000


def test_further_pictures_of_a_file_are_told_of(check, pairs, tmp_path):
    first = Image.open(pairs[0][0]).convert('RGB')
    first.save(tmp_path / 'moving.gif', save_all=True, append_images=[Image.new('RGB', first.size)])
    result = check((tmp_path / 'moving.gif', 'a dog'))['predictions'][0]
    assert 'the file holds several pictures or pages: the first was read' in result['warnings']
    assert not any('several' in text for text in check((pairs[0][0], 'a dog'))['predictions'][0]['warnings'])


def test_the_limit_of_pixels(detector, retriever, pairs):
    for settings in (dict(max_pixels=100), {'cfg_options': {'test_dataloader.dataset.pipeline.1.max_pixels': 100}}):
        with pytest.raises(ValueError, match='pixels, the limit is max_pixels=100'):
            ManipulationInferencer(detector, **settings)(pairs[0])
    with pytest.raises(ValueError, match='it has 60x40 pixels, the limit is max_pixels=100'):
        RetrievalInferencer(retriever, max_pixels=100).encode_images(retriever / '0.png')


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
    with pytest.raises(ValueError, match='a ViLEM is no detector of manipulations, which alone can check'):
        ManipulationInferencer(retriever)
    for kind in (RetrievalInferencer, ProofreadInferencer):
        with pytest.raises(ValueError, match='a ManipulationDetector is no dual encoder'):
            kind(detector)


@pytest.mark.parametrize('caption', ['!!!', '... ?'])
def test_a_caption_without_a_word_gives_no_verdict(detector, pairs, caption):
    answer = ManipulationInferencer(detector)((pairs[0][0], caption))['predictions'][0]
    assert answer['verdict'] is None and answer['fake_score'] is None
    assert any('no word of the caption that the model knows: not judged are verdict' in w for w in answer['warnings'])


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


def test_a_set_of_pictures_without_captions_is_encoded(retriever, tmp_path):
    """An index of pictures; recall on it is refused."""
    from mmvlforge.apis.retrieval import TrainedRetriever
    from mmvlforge.apis.running import test

    files = [retriever / f'{i}.png' for i in range(6)]
    (tmp_path / 'ann.json').write_text(json.dumps([dict(image=str(file), caption=[]) for file in files]))
    settings = {
        'test_dataloader.dataset.ann_file': str(tmp_path / 'ann.json'),
        'test_dataloader.dataset.reader': dict(type='albef', _delete_=True),
        'model.proofread_seed': None,
    }
    config, weights = str(retriever / 'tiny.py'), str(retriever / 'tiny.pth')
    features = TrainedRetriever(config, weights, settings).features()
    assert features.text.shape == (0, 16) and len(features.owner) == 0
    np.testing.assert_allclose(features.image, RetrievalInferencer(retriever).encode_images(files), atol=1e-5)
    settings['test_evaluator.metrics'] = [dict(type='ImageTextRecall')]
    with pytest.raises(ValueError, match='sample 0 has no caption to proofread'):
        test(config, weights, str(tmp_path), cfg_options={**settings, 'model.proofread_seed': 0})
    with pytest.raises(ValueError, match=r'sample 0 has no caption \(6 such samples\): recall needs captions'):
        test(config, weights, str(tmp_path), cfg_options=settings)


def test_proofreading_leaves_out_no_word(retriever):
    model = ProofreadInferencer(retriever)
    caption = 'car ' * 60 + 'cars'
    result = model((retriever / '1.png', caption))['predictions'][0]
    assert len(result['words']) + result['unread_words'] == 61
