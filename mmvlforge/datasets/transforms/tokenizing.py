"""Words to sub-word tokens, keeping which token belongs to which word."""

import os
import re
from bisect import bisect_right

from mmcv.transforms import BaseTransform
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mmvlforge.registry import TRANSFORMS
from mmvlforge.starter_files import starter_folder

__all__ = ['CaptionTokenizer', 'WordTokenizer']


@TRANSFORMS.register_module()
class WordTokenizer(BaseTransform):
    """Tokenise ``text.split()`` word by word with a Hugging Face fast tokenizer.

    Word positions of DGM⁴ index ``text.split()``. A byte-level tokenizer fed the raw text would split "41st" in two
    words and shift every later label; fed with ready-made words, every sub-word maps to its word.

    Required Keys: text
    Added Keys: input_ids (list of int, special tokens included), word_ids (list, None for special tokens)

    Args:
        name: Folder with a saved tokenizer, a name on the Hugging Face hub (``'roberta-base'``), or that of starter
            weights (``'starter::minilm'``).
        max_length: Most tokens of a caption, special tokens included; the rest is cut off. The paper's 50.
        by_word: False tokenises the caption as one text, and finds the word of a token by where it stands: for
            SigLIP 2's tokenizer, to which a first word is another than a later one, and for CLIP's.
        **kwargs: Further arguments of ``AutoTokenizer.from_pretrained``.

    Raises:
        ValueError: The tokenizer cannot be loaded or is not a fast one, or ``trust_remote_code`` is given.
    """

    def __init__(self, name: str, max_length: int = 50, by_word: bool = True, **kwargs) -> None:
        self.name = name
        self.max_length = max_length
        self.by_word = by_word
        if 'trust_remote_code' in kwargs:
            raise ValueError(f'{type(self).__name__}: trust_remote_code is not taken: no code of a folder is ever run')
        self.kwargs = kwargs
        self._tokenizer: PreTrainedTokenizerBase | None = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, loaded at first use: a config can then be built where its vocabulary is missing."""
        if self._tokenizer is None:
            # Workers are forked; the tokenizer's own threads would only warn there.
            os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')
            folder = starter_folder(self.name)
            try:
                kwargs = dict(add_prefix_space=True, **self.kwargs) if self.by_word else self.kwargs
                tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **kwargs)
            except (OSError, ValueError) as error:
                reason = str(error).partition('\n')[0]  # transformers goes on to advise trust_remote_code
                raise ValueError(
                    f'tokenizer {self.name!r} cannot be loaded: {reason}. Give a folder with tokenizer.json (or '
                    'vocab.json and merges.txt, or vocab.txt) and tokenizer_config.json, or a name on a reachable hub.'
                ) from error
            if not tokenizer.is_fast:
                raise ValueError(f'tokenizer {self.name!r} is not a fast one: it cannot map tokens to words')
            self._tokenizer = tokenizer
        return self._tokenizer

    def encode(self, text: str) -> tuple[list[int], list[int | None]]:
        """Token ids of a caption, special tokens included, and the word of each token, None for special ones."""
        cut = dict(truncation=True, max_length=self.max_length)
        if self.by_word:
            encoding = self.tokenizer(text.split(), is_split_into_words=True, **cut)
            return encoding['input_ids'], encoding.word_ids()
        encoding = self.tokenizer(text, return_offsets_mapping=True, **cut)
        starts = [word.start() for word in re.finditer(r'\S+', text)]
        # A token may have the space before its word in it, never the one after. Special tokens are empty.
        words = [
            bisect_right(starts, end - 1) - 1 if end > start else None for start, end in encoding['offset_mapping']
        ]
        return encoding['input_ids'], words

    def transform(self, results: dict) -> dict:
        """Tokenise ``results['text']``."""
        results['input_ids'], results['word_ids'] = self.encode(results['text'])
        return results


@TRANSFORMS.register_module()
class CaptionTokenizer(WordTokenizer):
    """Tokenise each caption of a group.

    Required Keys: captions
    Added Keys: input_ids (list of lists of int, special tokens included), word_ids (list of lists, None for special
    tokens)

    Args:
        name: Folder with a saved tokenizer, a name on the Hugging Face hub (``'bert-base-uncased'``), or that of
            starter weights (``'starter::minilm'``).
        max_length: Most tokens of a caption, special tokens included; the rest is cut off.
        by_word: As in WordTokenizer.
        **kwargs: Further arguments of ``AutoTokenizer.from_pretrained``.
    """

    def transform(self, results: dict) -> dict:
        """Tokenise ``results['captions']``."""
        encoded = [self.encode(caption) for caption in results['captions']]
        results['input_ids'] = [ids for ids, _ in encoded]
        results['word_ids'] = [words for _, words in encoded]
        return results
