"""Train a small RoBERTa-like tokenizer on captions.

For models that start from nothing. A pre-trained text encoder needs the tokenizer it was trained with.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

__all__ = ['train_tokenizer']

SPECIAL_TOKENS = ['<s>', '<pad>', '</s>', '<unk>', '<mask>']  # RoBERTa's, with the ids 0 to 4


def train_tokenizer(captions: Iterable[str], folder: Path, vocab_size: int, max_length: int = 50) -> None:
    """Train a byte-level BPE tokenizer and write it as a Hugging Face folder (RobertaTokenizerFast).

    Args:
        captions: The texts; the result depends on nothing else.
        folder: Where to write; it is made.
        vocab_size: Most tokens, special ones included.
        max_length: Most tokens of a caption, written in the folder as ``model_max_length``.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[AddedToken(token, lstrip=token == '<mask>', special=True) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(('</s>', 2), ('<s>', 0), add_prefix_space=True)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / 'tokenizer.json'))
    tokenizer.model.save(str(folder))
    names = dict(bos='<s>', cls='<s>', eos='</s>', sep='</s>', pad='<pad>', unk='<unk>', mask='<mask>')
    names = {f'{key}_token': token for key, token in names.items()}
    mask = dict(content='<mask>', lstrip=True, normalized=False, rstrip=False, single_word=False, special=True)
    config = dict(
        names,
        mask_token={'__type': 'AddedToken', **mask},
        tokenizer_class='RobertaTokenizerFast',
        add_prefix_space=True,
        model_max_length=max_length,
    )
    for name, content in (('special_tokens_map', names), ('tokenizer_config', config)):
        (folder / f'{name}.json').write_text(json.dumps(content, indent=2) + '\n')
