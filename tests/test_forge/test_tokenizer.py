"""The tokenizer trained on captions."""

from mmvlforge.datasets.transforms import WordTokenizer
from mmvlforge.forge.tokenizer import train_tokenizer


def test_trained_tokenizer_loads_and_maps_words(tmp_path):
    captions = ['the 41st president waves', 'the president of the union speaks'] * 3
    train_tokenizer(captions, tmp_path / 'tok', 300)
    result = WordTokenizer(str(tmp_path / 'tok'), max_length=50)(dict(text='the 41st union'))
    assert result['word_ids'][0] is None and result['word_ids'][-1] is None
    assert sorted(set(result['word_ids'][1:-1])) == [0, 1, 2]
    assert result['input_ids'][0] == 0 and result['input_ids'][-1] == 2  # <s> and </s>
    assert max(result['input_ids']) < 300
    words = WordTokenizer(str(tmp_path / 'tok'), max_length=4)(dict(text='the president of the union'))['word_ids']
    assert len(words) == 4 and words[-1] is None  # cut off, but closed
