"""How good the text edition is. Every caption of a split is edited once with a config's corruptor.

Of drawn captions the scenes that the pictures were drawn from tell whether an edited one is still true. Of real ones
the language model itself tells how plausible the words are that it has written.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer

from mmvlforge.annotations import read_captions as read_caption_records
from mmvlforge.annotations.json_files import read_json_object
from mmvlforge.forge.caption_scenes import Scene, caption_is_false, word_kind
from mmvlforge.forge.captions import read_scenes
from mmvlforge.registry import MODELS, TRANSFORMS
from mmvlforge.structures import VLInputs

__all__ = ['EditPlausibility', 'EditQuality', 'edit_plausibility', 'edit_quality', 'of_real_captions']


_DRAWN = 'dataset_mini.json'


class Told(NamedTuple):
    """A caption's words, what each states, and the scene, told from the group that the caption starts with."""

    words: list[str]
    roles: list[str]
    scene: Scene


class EditQuality(NamedTuple):
    """What became of the captions of a split.

    Attributes:
        captions: How many there are.
        changed: The words before and after of each caption that the edition changed.
        false: Whether each of these is false for its picture.
    """

    captions: int
    changed: list[tuple[list[str], list[str]]]
    false: list[bool]

    @property
    def edits(self) -> list[tuple[str, str]]:
        """Each word that was edited, and what stands in its place."""
        return [(old, new) for before, after in self.changed for old, new in zip(before, after) if old != new]

    def by_kind(self) -> list[tuple[str, int, float]]:
        """Kind of the edited word, how many edits, and the percentage that put a word of the same kind."""
        kinds = [(word_kind(old), word_kind(new)) for old, new in self.edits]
        total, alike = Counter(old for old, _ in kinds), Counter(old for old, new in kinds if old == new)
        return [(kind, total[kind], 100 * alike[kind] / total[kind]) for kind in sorted(total)]


def of_real_captions(cfg: Config) -> bool:
    """Whether a config edits captions, and is validated on others than drawn ones."""
    captions = cfg.get('val_dataloader', {}).get('dataset', {}).get('ann_file', _DRAWN)
    return 'corruptor' in cfg.get('model', {}) and captions != _DRAWN


def read_captions(data_root: Path, split: str) -> list[Told]:
    """All captions of a split."""
    scenes = read_scenes(data_root / 'scenes.json')
    return [
        Told(sentence['tokens'], caption.roles(scene), scene)
        for image in read_json_object(data_root / _DRAWN)['images']
        if image['split'] == split
        for scene, captions in [scenes[image['cocoid']]]
        for sentence, caption in zip(image['sentences'], captions)
    ]


def edit(captions: list[Told], cfg: Config, seed: int) -> list[list[str]]:
    """The words of each caption after the edition: every word of the drawn captions is one token."""
    corruptor = MODELS.build(cfg.model.corruptor)
    corruptor.init_weights()
    tokenizer = AutoTokenizer.from_pretrained(corruptor.name, trust_remote_code=False)
    ids = [torch.tensor(tokenizer.convert_tokens_to_ids(caption.words)) for caption in captions]
    if any((row == tokenizer.unk_token_id).any() for row in ids):
        raise ValueError(f'{corruptor.name} lacks words of {cfg.data_root}: train it on these captions')
    special = [torch.tensor([number]) for number in (tokenizer.cls_token_id, tokenizer.sep_token_id)]
    padded = pad_sequence([torch.cat([special[0], row, special[1]]) for row in ids], batch_first=True)
    places = torch.arange(padded.shape[1])
    lengths = torch.tensor([len(row) for row in ids])[:, None]
    inputs = VLInputs(None, padded, places < lengths + 2, (places > 0) & (places <= lengths))
    torch.manual_seed(seed)
    edited = corruptor(inputs).input_ids
    return [tokenizer.convert_ids_to_tokens(row[1 : len(old) + 1].tolist()) for row, old in zip(edited, ids)]


def edit_quality(cfg: Config, split: str = 'test', seed: int = 0) -> EditQuality:
    """Edit the captions of a split and judge them.

    Args:
        cfg: Config with ``data_root``, a folder of drawn captions, and ``model.corruptor``.
        split: 'train', 'val' or 'test'.
        seed: Seed of the edition.

    Raises:
        ValueError: The config has no such parts, the language model lacks words, or nothing was changed.
        OSError: A file is not there.
    """
    if 'data_root' not in cfg or 'corruptor' not in cfg.get('model', {}):
        raise ValueError(
            f'{cfg.filename}: needs data_root and model.corruptor, as configs/vilem/vilem_mini.py has them'
        )
    captions = read_captions(Path(cfg.data_root), split)
    changed = [(told, words) for told, words in zip(captions, edit(captions, cfg, seed)) if words != told.words]
    if not changed:
        raise ValueError(f'{cfg.filename}: its corruptor changed none of {len(captions)} captions')
    return EditQuality(
        len(captions),
        [(told.words, words) for told, words in changed],
        [caption_is_false(words, told.roles, told.scene) for told, words in changed],
    )


class EditPlausibility(NamedTuple):
    """What became of real captions.

    Attributes:
        captions: How many there are.
        changed: The tokens before and after of each caption that the edition changed.
        written: Mean log-probability of a token that was written, in nats; the edited positions are masked together.
        original: That of the token that stood there.
        random: That of a writable token drawn at random.
    """

    captions: int
    changed: list[tuple[list[str], list[str]]]
    written: float
    original: float
    random: float


def edit_plausibility(cfg: Config, seed: int = 0) -> EditPlausibility:
    """Edit the captions that a config is validated on.

    Args:
        cfg: Config with ``model.corruptor`` and ``val_dataloader``, whose pipeline cleans and tokenises captions.
        seed: Seed of the edition.

    Raises:
        ValueError: The config has no such parts, or nothing was changed.
        OSError: A file is not there.
    """
    dataset = cfg.get('val_dataloader', {}).get('dataset', {})
    pipeline = {step['type']: step for step in dataset.get('pipeline', ())}
    if 'reader' not in dataset or 'CaptionTokenizer' not in pipeline:
        raise ValueError(
            f'{cfg.filename}: val_dataloader needs captions and a CaptionTokenizer, as in flickr8k/vilem_starter'
        )
    corruptor, others = (
        MODELS.build(dict(cfg.model.corruptor, **changes)) for changes in (dict(mode='lm'), dict(mode='random'))
    )
    corruptor.init_weights()
    path = Path(dataset.get('data_root', ''), dataset.ann_file)
    texts = [text for record in read_caption_records(str(path), **dataset.reader) for text in record.captions]
    results: dict = dict(captions=texts)
    for step in ('CleanCaptions', 'CaptionTokenizer'):
        if step in pipeline:
            results = TRANSFORMS.build(pipeline[step])(results)
    rows = [torch.tensor(row) for row in results['input_ids']]
    ids = pad_sequence(rows, batch_first=True)
    mask = pad_sequence([torch.ones_like(row, dtype=torch.bool) for row in rows], batch_first=True)
    words = [torch.tensor([word is not None for word in numbers]) for numbers in results['word_ids']]
    word = pad_sequence(words, batch_first=True)
    inputs = VLInputs(None, ids, mask, word)
    torch.manual_seed(seed)
    chosen = corruptor.choose(inputs)
    edited, drawn = corruptor.edit(inputs, chosen).input_ids, others.edit(inputs, chosen).input_ids
    if not chosen.any():
        raise ValueError(f'{cfg.filename}: its corruptor changed none of {len(ids)} captions')
    written, original, random = (
        float(found.mean()) for found in corruptor.log_probs(inputs, chosen, edited, ids, drawn)
    )
    spell = AutoTokenizer.from_pretrained(corruptor.name, trust_remote_code=False).convert_ids_to_tokens
    changed = [
        (spell(old[at].tolist()), spell(new[at].tolist()))
        for old, new, at, edits in zip(ids, edited, word, chosen)
        if edits.any()
    ]
    return EditPlausibility(len(ids), changed, written, original, random)
