"""Words to sub-word tokens, keeping which token belongs to which word."""

import os

from mmcv.transforms import BaseTransform
from transformers import AutoTokenizer

from mmvlforge.registry import TRANSFORMS

__all__ = [
    'CaptionTokenizer',
    'WordTokenizer',
]


@TRANSFORMS.register_module()
class WordTokenizer(BaseTransform):
    """Tokenise ``text.split()`` word by word with a Hugging Face fast tokenizer.

    Word positions of DGM⁴ index ``text.split()``. A byte-level tokenizer fed the raw text would split "41st" in two
    words and shift every later label; fed with ready-made words, every sub-word maps to its word.

    Required Keys: text
    Added Keys: input_ids (list of int, special tokens included), word_ids (list, None for special tokens)

    Args:
        name: Folder with a saved tokenizer, or a name on the Hugging Face hub (``'roberta-base'``).
        max_length: Most tokens of a caption, special tokens included; the rest is cut off. The paper's 50.
        **kwargs: Further arguments of ``AutoTokenizer.from_pretrained``.

    Raises:
        ValueError: The tokenizer cannot be loaded or is not a fast one.
    """

    def __init__(self, name: str, max_length: int = 50, **kwargs) -> None:
        self.name = name
        self.max_length = max_length
        self.kwargs = kwargs
        self._tokenizer = None

    @property
    def tokenizer(self):
        """The tokenizer, loaded at first use: a config can then be built where its vocabulary is missing."""
        if self._tokenizer is None:
            # Workers are forked; the tokenizer's own threads would only warn there.
            os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')
            try:
                self._tokenizer = AutoTokenizer.from_pretrained(self.name, add_prefix_space=True, **self.kwargs)
            except (OSError, ValueError) as error:
                raise ValueError(
                    f'tokenizer {self.name!r} cannot be loaded: {error}. Give a folder with tokenizer.json (or '
                    'vocab.json and merges.txt, or vocab.txt) and tokenizer_config.json, or a name on a reachable hub.'
                ) from error
            if not self._tokenizer.is_fast:
                raise ValueError(f'tokenizer {self.name!r} is not a fast one: it cannot map tokens to words')
        return self._tokenizer

    def transform(self, results: dict) -> dict:
        """Tokenise ``results['text']``."""
        encoding = self.tokenizer(
            results['text'].split(), is_split_into_words=True, truncation=True, max_length=self.max_length
        )
        results['input_ids'] = encoding['input_ids']
        results['word_ids'] = encoding.word_ids()
        return results


@TRANSFORMS.register_module()
class CaptionTokenizer(WordTokenizer):
    """Tokenise each caption of a group.

    Required Keys: captions
    Added Keys: input_ids (list of lists of int, special tokens included), word_ids (list of lists, None for special
    tokens)

    Args:
        name: Folder with a saved tokenizer, or a name on the Hugging Face hub (``'bert-base-uncased'``).
        max_length: Most tokens of a caption, special tokens included; the rest is cut off.
        **kwargs: Further arguments of ``AutoTokenizer.from_pretrained``.
    """

    def transform(self, results: dict) -> dict:
        """Tokenise ``results['captions']``."""
        encoded = [super(CaptionTokenizer, self).transform(dict(text=text)) for text in results['captions']]
        for key in ('input_ids', 'word_ids'):
            results[key] = [caption[key] for caption in encoded]
        return results
