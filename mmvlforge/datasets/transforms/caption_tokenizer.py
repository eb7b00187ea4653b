"""The captions of a group to sub-word tokens."""

from mmvlforge.datasets.transforms.word_tokenizer import WordTokenizer
from mmvlforge.registry import TRANSFORMS


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
