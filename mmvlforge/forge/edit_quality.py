"""How often the text edition makes a caption of the drawn captions false for its picture.

Every caption of a split is edited once with a config's corruptor, and the scenes that the pictures were drawn from
tell whether it is still true.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer

from mmvlforge.annotations.json_files import read_json_object
from mmvlforge.forge.caption_scenes import Scene, caption_is_false, word_kind
from mmvlforge.forge.captions import read_scenes
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs

__all__ = ['EditQuality', 'edit_quality']


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


def read_captions(data_root: Path, split: str) -> list[Told]:
    """All captions of a split."""
    scenes = read_scenes(data_root / 'scenes.json')
    return [
        Told(sentence['tokens'], caption.roles(scene), scene)
        for image in read_json_object(data_root / 'dataset_mini.json')['images']
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
