"""Forged captions of real photos: the caption of a similar photo, or a word turned into its opposite.

A caption must not give away by itself what was done to it. So forged captions are, all together, the captions of the
untouched records: photos that swap captions do so in pairs, each giving its own for the other's, and of two photos with
opposite words one turns "old" into "young", the other "young" into "old".
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import AutoTokenizer

from mmvlforge.annotations.json_files import read_text
from mmvlforge.models.text_corruptor import TextCorruptor
from mmvlforge.structures import VLInputs

__all__ = [
    'ANTONYMS',
    'Telling',
    'edit_by_language_model',
    'marks',
    'pair_up',
    'read_antonyms',
    'swap_in_pairs',
    'turn_in_pairs',
]

# Each word has one partner, so that as many captions can turn the one way as the other.
_GENDERS = (('man', 'woman'), ('men', 'women'), ('boy', 'girl'), ('boys', 'girls'), ('male', 'female'))
ANTONYMS = (
    *_GENDERS,
    *(('father', 'mother'), ('young', 'old'), ('younger', 'older'), ('little', 'big'), ('small', 'large')),
    *(('tall', 'short'), ('black', 'white'), ('red', 'blue'), ('green', 'yellow'), ('orange', 'purple')),
    *(('pink', 'brown'), ('dark', 'bright'), ('happy', 'sad'), ('happily', 'sadly'), ('smiling', 'crying')),
    *(('smiles', 'frowns'), ('laughing', 'screaming'), ('sitting', 'standing'), ('sits', 'stands')),
    *(('running', 'walking'), ('runs', 'walks'), ('pushing', 'pulling'), ('inside', 'outside')),
    *(('indoors', 'outdoors'), ('above', 'below'), ('left', 'right'), ('day', 'night'), ('sunny', 'rainy')),
    *(('wet', 'dry'), ('snow', 'sand'), ('snowy', 'sandy'), ('hot', 'cold'), ('open', 'closed'), ('clean', 'dirty')),
    *(('two', 'three'), ('four', 'five'), ('first', 'last'), ('win', 'lose'), ('wins', 'loses'), ('good', 'bad')),
    *(('best', 'worst'), ('praises', 'blames'), ('success', 'failure'), ('peaceful', 'violent'), ('calm', 'angry')),
    *(('hope', 'fear'), ('hopes', 'fears'), ('welcomes', 'rejects'), ('support', 'oppose'), ('rise', 'fall')),
)
_GENDERED = frozenset(word for pair in (*_GENDERS, ('father', 'mother')) for word in pair)
# One of them would give away that a man was a woman before.
_PRONOUNS = frozenset(('he', 'she', 'his', 'her', 'hers', 'him', 'himself', 'herself'))
# Words that say nothing of a picture by themselves.
STOP_WORDS = frozenset(
    (
        *('a', 'an', 'and', 'are', 'as', 'at', 'be', 'been', 'being', 'by', 'for', 'from', 'has', 'have', 'in', 'into'),
        *('is', 'it', 'its', 'of', 'off', 'on', 'onto', 'or', 'some', 'that', 'the', 'their', 'them', 'there', 'they'),
        *('this', 'through', 'to', 'up', 'while', 'who', 'with', *_PRONOUNS),
    )
)
SWAPPED = 1 / 3  # of a caption's words, stop words left out: so many must be new for the photo that it is given to


class Telling(NamedTuple):
    """What the two records of a photo say.

    Attributes:
        photo: Number of the photo.
        true: The untouched record's caption.
        told: The forged record's.
        kind: ``''`` if they are the same, ``'text_swap'`` or ``'text_attribute'``.
        places: Positions of the changed words in ``told.split()``.
    """

    photo: int
    true: str
    told: str
    kind: str = ''
    places: tuple[int, ...] = ()


def _plain(word: str) -> str:
    return _SIGNS.sub('', word.lower())


_SIGNS = re.compile(r'[\W_]+')


def words_of(captions: Sequence[str]) -> set[str]:
    """The words of captions in lower case, without signs."""
    return {_plain(word) for caption in captions for word in caption.split()} - {''}


def marks(told: str, known: set[str]) -> tuple[int, ...]:
    """Positions in ``told.split()`` of the words that are not among the known ones; stop words are never marked.

    Examples:
        >>> marks('A dog is on the beach .', {'a', 'cat', 'on', 'the', 'sofa'})
        (1, 5)
    """
    told_of = known | STOP_WORDS | {''}
    return tuple(place for place, word in enumerate(told.split()) if _plain(word) not in told_of)


def _new_share(told: str, known: set[str]) -> float:
    """The share of a caption's words that are not among the known ones, stop words left out."""
    words = words_of([told]) - STOP_WORDS
    return len(words - known) / max(1, len(words))


def similarities(captions: Sequence[Sequence[str]], most: int) -> Iterator[tuple[float, int, int]]:
    """The most similar others of each text, by the cosine of TF-IDF features.

    Args:
        captions: The captions of each photo.
        most: How many others.

    Yields:
        Similarity, photo and the other photo.
    """
    texts = [sorted(words_of(told) - STOP_WORDS) for told in captions]
    number = {word: row for row, word in enumerate(sorted(set().union(*texts)))}
    rows = torch.tensor([row for row, text in enumerate(texts) for _ in text], dtype=torch.long)
    columns = torch.tensor([number[word] for text in texts for word in text], dtype=torch.long)
    seen_in = torch.bincount(columns, minlength=len(number)).float()
    weights = (len(texts) / seen_in).log()[columns]
    length = torch.zeros(len(texts)).index_add_(0, rows, weights.square()).sqrt().clamp(min=1e-9)
    weights = weights / length[rows]
    size = (len(texts), len(number))
    matrix = torch.sparse_coo_tensor(torch.stack([rows, columns]), weights, size, check_invariants=True).coalesce()
    most = min(most, len(texts) - 1)
    for start in range(0, len(texts), 512):
        stop = min(start + 512, len(texts))
        block = (rows >= start) & (rows < stop)
        dense = torch.zeros(len(number), stop - start)
        dense[columns[block], rows[block] - start] = weights[block]
        found = torch.sparse.mm(matrix, dense)
        found[torch.arange(start, stop), torch.arange(stop - start)] = -1
        best = found.topk(most, dim=0)
        for row in range(stop - start):
            for value, other in zip(best.values[:, row].tolist(), best.indices[:, row].tolist()):
                yield round(value, 4), start + row, other


def pair_up(captions: Sequence[Sequence[str]], fit: Callable[[int, int], bool]) -> list[tuple[int, int]]:
    """Pairs of similar photos, each photo in one at most, the most similar first.

    Args:
        captions: The captions of each photo.
        fit: Called with two photos; whether they may be a pair.
    """
    left, pairs, most = list(range(len(captions))), [], 20
    while len(left) > 1:
        edges = {
            (-similarity, min(left[row], left[other]), max(left[row], left[other]))
            for similarity, row, other in similarities([captions[photo] for photo in left], most)
        }
        taken: set[int] = set()
        for _, first, second in sorted(edges):
            if first not in taken and second not in taken and fit(first, second):
                taken |= {first, second}
                pairs.append((first, second))
        if not taken:
            if most >= len(left) - 1:
                break
            most *= 4
        left = [photo for photo in left if photo not in taken]
    return pairs


def swap_in_pairs(captions: Sequence[Sequence[str]], told: Sequence[str]) -> list[tuple[Telling, Telling]]:
    """Swap a caption between similar photos.

    A third of the words of each must be in no caption of the photo that it is given to: a caption that might be true of
    it is no forgery.

    Args:
        captions: The captions of each photo, numbered as here.
        told: The caption of each photo that is swapped.
    """
    known = [words_of(captions_of) for captions_of in captions]

    def fit(first: int, second: int) -> bool:
        shares = _new_share(told[first], known[second]), _new_share(told[second], known[first])
        return min(shares) >= SWAPPED

    def telling(photo: int, other: int) -> Telling:
        return Telling(photo, told[photo], told[other], 'text_swap', marks(told[other], known[photo]))

    return [(telling(first, second), telling(second, first)) for first, second in pair_up(captions, fit)]


def _replaced(caption: str, places: Sequence[int], words: Sequence[str]) -> str:
    """A caption with other words at some places; signs about a word and its capital letter stay."""
    told = caption.split()
    for place, new in zip(places, words):
        old = told[place]
        letters = re.search(r'\w(?:.*\w)?', old)
        assert letters is not None  # a word without a letter is never changed
        if letters[0][0].isupper():
            new = new[0].upper() + new[1:]
        told[place] = old[: letters.start()] + new + old[letters.end() :]
    return ' '.join(told)


def _turned(
    captions: Sequence[str], photo: int, opposite: dict[str, str], seen: set[tuple[str, str]]
) -> Iterator[tuple]:
    """Every word of a photo that may be turned: it, what stands behind it, and what becomes of the caption."""
    known = words_of(captions)
    for caption in captions:
        words = ['', *map(_plain, caption.split()), '']
        for word in sorted(set(words) & set(opposite)):
            new = opposite[word]
            places = [place for place, other in enumerate(words) if other == word]
            if (
                new in known
                or (word in _GENDERED and _PRONOUNS & set(words))
                or not all(words[place - 1] in ('a', 'an') or (words[place - 1], new) in seen for place in places)
            ):
                continue
            told = _replaced(caption, [place - 1 for place in places], [new] * len(places)).split()
            for place in places:
                if words[place - 1] in ('a', 'an'):  # it must not tell what stood there
                    told[place - 2] = told[place - 2][0] + ('n' if new[0] in 'aeiou' else '')
            marked = tuple(place - 1 for place in places)
            yield (
                word,
                tuple(words[place + 1] for place in places),
                Telling(photo, caption, ' '.join(told), 'text_attribute', marked),
            )


def turn_in_pairs(
    captions: Sequence[Sequence[str]],
    rng: np.random.Generator,
    antonyms: Sequence[tuple[str, str]] = ANTONYMS,
) -> list[Telling]:
    """Turn a word of a caption into its opposite, in as many photos as there are pairs of.

    The two photos of a pair, which follow each other in the result, turn it in opposite ways. They have the same word
    behind the turned one, so that neither words nor neighbours are more frequent in forged captions; and the new word
    has been seen behind the word before it. A word is turned wherever it stands in the caption, and only if no caption
    of the photo has its opposite.

    Args:
        captions: The captions of each photo, numbered as here.
        rng: What the photos and the words are drawn from.
        antonyms: Pairs of words; a word stands in one pair.
    """
    opposite = {a: b for pair in antonyms for a, b in (pair, pair[::-1])}
    seen = {
        pair
        for told in captions
        for words in (['', *map(_plain, caption.split())] for caption in told)
        for pair in zip(words, words[1:])
    }
    waiting: dict[tuple, list[Telling]] = defaultdict(list)
    found: list[Telling] = []
    used: set[int] = set()
    for photo in rng.permutation(len(captions)).tolist():
        options = list(_turned(captions[photo], photo, opposite, seen))
        options = [options[row] for row in rng.permutation(len(options))]
        for word, behind, telling in options:
            partners = waiting[opposite[word], behind]
            while partners and partners[-1].photo in used:
                partners.pop()
            if partners:
                used |= {partners[-1].photo, photo}
                found += [partners.pop(), telling]
                break
        else:
            for word, behind, telling in options:
                waiting[word, behind].append(telling)
    return found


def edit_by_language_model(
    captions: Sequence[Sequence[str]], rng: np.random.Generator, corruptor: TextCorruptor
) -> list[Telling]:
    """Let a masked language model write other words in captions, as ViLEM's text edition does.

    Its rate gives the number of words, one at least. A word that some caption of the photo has is not written, for it
    may be true.

    Args:
        captions: The captions of each photo, numbered as here; one of each is edited.
        rng: What the captions and the words are drawn from.
        corruptor: The language model.
    """
    true = [told[int(rng.integers(len(told)))] for told in captions]
    tokenizer = AutoTokenizer.from_pretrained(corruptor.name, trust_remote_code=False)
    coded = tokenizer(
        true,
        padding=True,
        truncation=True,
        max_length=min(tokenizer.model_max_length, 128),
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_tensors='pt',
    )
    attention = coded.attention_mask.bool()
    inputs = VLInputs(None, coded.input_ids, attention, attention & ~coded.special_tokens_mask.bool())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        draw = torch.rand(inputs.input_ids.shape).masked_fill(~corruptor.editable(inputs), 2)
        wanted = (corruptor.rate * (draw < 2).sum(1)).round().clamp(1, corruptor.max_edits)
        chosen = (draw < 2) & (draw.argsort(1).argsort(1) < wanted[:, None])
        edited = corruptor.edit(inputs, chosen).input_ids
    found = []
    for photo, caption in enumerate(true):
        known, words = words_of(captions[photo]), caption.split()
        changes = {}
        for column in chosen[photo].nonzero()[:, 0].tolist():
            start, end = coded.offset_mapping[photo, column].tolist()
            place = caption[:start].count(' ')
            new = tokenizer.decode(edited[photo, column]).strip()
            if _plain(caption[start:end]) == _plain(words[place]) and {_plain(new)} - known - {''} and ' ' not in new:
                changes[place] = new
        if changes:
            places = sorted(changes)
            told = _replaced(caption, places, [changes[place] for place in places])
            found.append(Telling(photo, caption, told, 'text_attribute', tuple(places)))
    return found


def read_antonyms(path: str) -> list[tuple[str, str]]:
    """Pairs of opposites from a file, two words a line with a comma between.

    Raises:
        ValueError: A line has no two words, or a word stands in two pairs.
        FileNotFoundError: There is no such file.
    """
    pairs: list[tuple[str, str]] = []
    taken: set[str] = set()
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if line.strip():
            pair = [_plain(word) for word in line.split(',')]
            if len(pair) != 2 or len({*pair} - taken - {''}) != 2:
                raise ValueError(f'{path}:{number}: {line!r:.80} must be two words, old,young, each in one pair alone')
            taken |= {*pair}
            pairs.append((pair[0], pair[1]))
    return pairs
