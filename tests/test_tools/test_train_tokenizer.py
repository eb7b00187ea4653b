"""The tokenizer trained on captions."""

import json

from project import run_tool

from mmvlforge.datasets.transforms import WordTokenizer


def test_trained_tokenizer_loads_and_maps_words(tmp_path):
    captions = ['the 41st president waves', 'the president of the union speaks'] * 3
    (tmp_path / 'a.json').write_text(json.dumps([dict(text=c) for c in captions]))
    run_tool('tools/data/train_tokenizer.py', tmp_path / 'a.json', tmp_path / 'tok', '--vocab-size', 300)
    result = WordTokenizer(str(tmp_path / 'tok'), max_length=50)(dict(text='the 41st union'))
    assert result['word_ids'][0] is None and result['word_ids'][-1] is None
    assert sorted(set(result['word_ids'][1:-1])) == [0, 1, 2]
    assert result['input_ids'][0] == 0 and result['input_ids'][-1] == 2  # <s> and </s>
    assert max(result['input_ids']) < 300
    words = WordTokenizer(str(tmp_path / 'tok'), max_length=4)(dict(text='the president of the union'))['word_ids']
    assert len(words) == 4 and words[-1] is None  # cut off, but closed


def test_missing_file_is_named(tmp_path):
    result = run_tool('tools/data/train_tokenizer.py', tmp_path / 'no.json', tmp_path / 'tok', check=False)
    assert result.returncode == 1
    assert 'no.json' in result.stderr and 'Traceback' not in result.stderr
