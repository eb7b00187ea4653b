"""The drawn captions: compositional scenes with five captions each, in the formats of the real sets.

    mmvlforge forge captions OUT --num 12000

writes

    OUT/images/*.jpg                     pictures of 128 pixels
    OUT/dataset_mini.json                their captions in Karpathy's format, splits train, val and test
    OUT/scenes.json                      what each picture shows and how each caption says it
    OUT/winoground/examples.jsonl        pairs of pictures and captions with the same words (and winoground/images/)
    OUT/sugarcrepe/<category>.json       captions and negatives for test pictures, seven categories
    OUT/msrvtt/test.csv                  sentences for short videos (msrvtt/videos/*.mp4)
    OUT/tokenizer/                       BERT WordPiece tokenizer that holds every word
    OUT/mini_captions.json               the arguments, written last

The same seed gives the same bytes with any number of workers: every picture has its own random generator. A finished
folder of the same arguments is reused.
"""

import csv
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from mmvlforge.annotations.json_files import read_json_object
from mmvlforge.forge.caption_scenes import (
    COLOURS,
    OBJECTS,
    RELATIONS,
    SIZE,
    TEMPLATES,
    VOCABULARY,
    Group,
    Scene,
    caption_roles,
    draw_scene,
    sample_layout,
    sample_scene,
    write_caption,
)
from mmvlforge.forge.drawing import pick, take_photo
from mmvlforge.forge.generated_set import SPLITS, filling, made_from
from mmvlforge.workers import ordered_map

__all__ = ['CATEGORIES', 'FORMAT', 'Caption', 'make_mini_set', 'make_picture', 'negatives', 'read_scenes']

FORMAT = 1  # raise it when the same arguments give other bytes
NAME = 'mini_captions'
PARTS = ('images', 'dataset_mini.json', 'scenes.json', 'winoground', 'sugarcrepe', 'msrvtt', 'tokenizer')
# First id of each split: fixed, so that the test set does not change with the size of the training set.
FIRST_ID = {'train': 1, 'val': 800_001, 'test': 900_001}
LAST_ID = {'train': 800_000, 'val': 900_000, 'test': 999_999}
SOURCES = (*SPLITS, 'winoground', 'msrvtt')  # each with random generators of its own
CAPTIONS = 5
FRAMES = 12
FRAMES_PER_SECOND = 8
CATEGORIES = ('add_att', 'add_obj', 'replace_att', 'replace_obj', 'replace_rel', 'swap_att', 'swap_obj')
SPECIAL_TOKENS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')
MAX_TOKENS = 32


class Caption(NamedTuple):
    """How a caption tells its scene: the row of ``TEMPLATES``, and whether it starts with the second group."""

    template: int
    turned: bool

    def words(self, scene: Scene) -> list[str]:
        """The caption's words."""
        return write_caption(scene.turned() if self.turned else scene, self.template)

    def roles(self, scene: Scene) -> list[str]:
        """What each word states, seen from the group that the caption starts with."""
        return caption_roles(scene.turned() if self.turned else scene, self.template)


def _generator(seed: int, source: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, SOURCES.index(source), number])


def _photo(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    return take_photo(draw_scene(scene, sample_layout(scene, rng)), rng)


def make_picture(seed: int, split: str, index: int) -> tuple[Scene, list[Caption], np.ndarray]:
    """A scene, how its captions tell it, and its picture, uint8 BGR ``(SIZE, SIZE, 3)``.

    Args:
        seed: Seed of the data set.
        split: 'train', 'val' or 'test'.
        index: Row in the split, from 0.
    """
    rng = _generator(seed, split, index)
    scene = sample_scene(rng)
    rows = rng.permutation(len(TEMPLATES))[:CAPTIONS]
    captions = [Caption(int(row), bool(rng.random() < 0.5)) for row in rows]
    return scene, captions, _photo(scene, rng)


def read_scenes(path: Path) -> dict[int, tuple[Scene, list[Caption]]]:
    """Read ``scenes.json``: by picture (``cocoid``) what it shows and how each of its captions says it."""
    result = {}
    for key, record in read_json_object(path).items():
        facts = record['scene']
        facts.update(first=Group(*facts['first']), second=Group(*facts['second']))
        result[int(key)] = Scene(**facts), [Caption(*caption) for caption in record['captions']]
    return result


def _write_picture(item: tuple[str, int], out: Path, seed: int) -> tuple[Scene, list[Caption]]:
    split, index = item
    scene, captions, image = make_picture(seed, split, index)
    _write_image(out / 'images' / _filename(split, index), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return scene, captions


def _write_image(path: Path, image: np.ndarray, options: Sequence[int] = ()) -> None:
    path.write_bytes(cv2.imencode(path.suffix, image, options)[1].tobytes())


def _filename(split: str, index: int) -> str:
    return f'{FIRST_ID[split] + index:012d}.jpg'


def _write_karpathy(out: Path, told: dict[str, list[tuple[Scene, list[Caption]]]]) -> None:
    images: list[dict] = []
    scenes, sentid = {}, 0
    for split, pictures in told.items():
        for index, (scene, captions) in enumerate(pictures):
            sentences = []
            for caption in captions:
                words = caption.words(scene)
                sentences.append(dict(tokens=words, raw=' '.join(words), imgid=len(images), sentid=sentid))
                sentid += 1
            images.append(
                dict(
                    filepath='images',
                    sentids=[sentence['sentid'] for sentence in sentences],
                    filename=_filename(split, index),
                    imgid=len(images),
                    split=split,
                    sentences=sentences,
                    cocoid=FIRST_ID[split] + index,
                )
            )
            scenes[FIRST_ID[split] + index] = dict(scene=asdict(scene), captions=captions)
    (out / 'dataset_mini.json').write_text(json.dumps(dict(images=images, dataset='mini')))
    (out / 'scenes.json').write_text(json.dumps(scenes))


# ---------------------------------------------------------------------------------------------------------------------
# Winoground: two captions of the same words, each true of one picture only

_TAGS = (('Noun', 'Object'), ('Adjective-Color', 'Relation'), ('Noun, Adjective-Color', 'Both'))


def _exchange(scene: Scene, *parts: str) -> Scene:
    """The scene with the named parts of its two groups exchanged."""
    first, second = scene.first, scene.second
    return replace(
        scene,
        first=first._replace(**{part: getattr(second, part) for part in parts}),
        second=second._replace(**{part: getattr(first, part) for part in parts}),
    )


def _write_example(index: int, out: Path, seed: int) -> dict:
    rng = _generator(seed, 'winoground', index)
    tag, collapsed_tag = _TAGS[index % 3]
    scene = sample_scene(rng)
    while scene.first.colour == scene.second.colour:
        scene = sample_scene(rng)
    if collapsed_tag == 'Relation':
        other = _exchange(scene, 'colour')
    else:  # equal counts, so that an exchanged noun keeps its ending
        scene = replace(scene, second=scene.second._replace(count=scene.first.count))
        other = _exchange(scene, 'object') if collapsed_tag == 'Object' else _exchange(scene, 'object', 'colour')
    predicates = 1 + int(rng.integers(2))
    record: dict[str, Any] = dict(id=index)
    for number, shown in enumerate((scene, other)):
        record[f'image_{number}'] = name = f'ex_{index}_img_{number}'
        image = _photo(shown, rng)
        if index % 10 == 0:  # as in the original, some pictures have an alpha channel
            image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
        _write_image(out / 'winoground/images' / f'{name}.png', image)
    for number, shown in enumerate((scene, other)):
        record[f'caption_{number}'] = ' '.join(write_caption(shown, (0, 4)[predicates - 1]))
    return dict(record, tag=tag, secondary_tag='', num_main_preds=predicates, collapsed_tag=collapsed_tag)


# ---------------------------------------------------------------------------------------------------------------------
# SugarCrepe: a caption and a negative that is like it


def negatives(scene: Scene, rng: np.random.Generator) -> dict[str, tuple[str, str]]:
    """A caption and a negative of each category that the scene has: ``swap_att`` needs two colours."""
    first, second = scene.first, scene.second
    colour = pick(rng, [name for name in COLOURS if name not in (first.colour, second.colour)])
    thing = pick(rng, [name for name in OBJECTS if name not in (first.object, second.object)])
    changed = {
        'replace_att': replace(scene, first=first._replace(colour=colour)),
        'replace_obj': replace(scene, first=first._replace(object=thing)),
        'replace_rel': replace(scene, relation=RELATIONS[scene.relation]),
        'swap_obj': _exchange(scene, 'object'),
    }
    if first.colour != second.colour:
        changed['swap_att'] = _exchange(scene, 'colour')
    caption = ' '.join(write_caption(scene, 0))
    pairs = {name: (caption, ' '.join(write_caption(other, 0))) for name, other in changed.items()}
    told, roles = write_caption(scene, 0), caption_roles(scene, 0)
    place = roles.index('first.colour')
    shorter = told[:place] + told[place + 1 :]
    pairs['add_att'] = (' '.join(shorter), ' '.join([*told[:place], colour, *told[place + 1 :]]))
    shorter = write_caption(scene, 5)
    pairs['add_obj'] = (' '.join(shorter), ' '.join([*shorter, 'and', 'a', colour, thing]))
    return pairs


def _write_sugarcrepe(out: Path, scenes: list[Scene], seed: int, number: int) -> None:
    records: dict[str, dict[str, dict]] = {name: {} for name in CATEGORIES}
    for index, scene in enumerate(scenes):
        pairs = negatives(scene, np.random.default_rng([seed, len(SOURCES), index]))
        for name, (caption, negative) in pairs.items():
            if len(records[name]) < number:
                row = dict(filename=_filename('test', index), caption=caption, negative_caption=negative)
                records[name][str(len(records[name]))] = row
    for name, rows in records.items():
        (out / 'sugarcrepe' / f'{name}.json').write_text(json.dumps(rows, indent=1))


# ---------------------------------------------------------------------------------------------------------------------
# MSR-VTT: short videos in which everything swings a little


def _write_video(index: int, out: Path, seed: int) -> str:
    rng = _generator(seed, 'msrvtt', index)
    scene = sample_scene(rng)
    layout, camera = sample_layout(scene, rng), int(rng.integers(2**31))
    template = int(rng.integers(len(TEMPLATES)))
    path = out / 'msrvtt/videos' / f'video{index}.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), FRAMES_PER_SECOND, (SIZE, SIZE))
    if not writer.isOpened():
        raise ValueError(f'This OpenCV cannot write {path}: it needs the MPEG-4 encoder of the wheels on PyPI.')
    for frame in range(FRAMES):
        image = draw_scene(scene, layout, 2 * np.pi * frame / FRAMES)
        writer.write(take_photo(image, np.random.default_rng(camera)))  # one light and tint a video
    writer.release()
    return ' '.join(write_caption(scene, template))


# ---------------------------------------------------------------------------------------------------------------------


def _write_tokenizer(folder: Path) -> None:
    # What BERT's own folders hold; transformers fills in the names of the special tokens.
    folder.mkdir()
    (folder / 'vocab.txt').write_text('\n'.join((*SPECIAL_TOKENS, *VOCABULARY)) + '\n')
    config = dict(tokenizer_class='BertTokenizerFast', do_lower_case=True, model_max_length=MAX_TOKENS)
    (folder / 'tokenizer_config.json').write_text(json.dumps(config, indent=2) + '\n')


def make_mini_set(
    out: Path,
    sizes: dict[str, int],
    seed: int = 0,
    workers: int = 1,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> bool:
    """Write the mini set.

    Winoground, each category of SugarCrepe and MSR-VTT hold a fifth as many examples as the test split.

    Args:
        out: Folder to fill.
        sizes: Number of pictures of each split.
        seed: Seed of everything, not negative.
        workers: Number of processes.
        force: Replace a mini set that was made with other arguments.
        progress: Called after each picture, pair and video: how many are drawn, and how many there will be.

    Returns:
        False if the folder already held the set.
    """
    for split in SPLITS:
        room = LAST_ID[split] - FIRST_ID[split] + 1
        if not 5 <= sizes[split] <= room:
            raise ValueError(f'The {split} split holds 5 to {room} pictures, not {sizes[split]}.')
    numbers = {f'num_{split}': sizes[split] for split in SPLITS}
    with filling(out, NAME, PARTS, made_from(FORMAT, seed, workers, **numbers), force) as missing:
        if not missing:
            return False
        for folder in ('images', 'winoground/images', 'sugarcrepe', 'msrvtt/videos'):
            (out / folder).mkdir(parents=True)

        number = sizes['test'] // 5
        items = [(split, index) for split in SPLITS for index in range(sizes[split])]
        total = len(items) + 2 * number
        with ordered_map(workers, lambda done: progress(done, total), 'spawn') as run:
            pictures = run(functools.partial(_write_picture, out=out, seed=seed), items)
            examples = run(functools.partial(_write_example, out=out, seed=seed), range(number))
            sentences = run(functools.partial(_write_video, out=out, seed=seed), range(number))
        told = {split: [row for item, row in zip(items, pictures) if item[0] == split] for split in SPLITS}
        _write_karpathy(out, told)
        lines = [json.dumps(example) + '\n' for example in examples]
        (out / 'winoground/examples.jsonl').write_text(''.join(lines))
        _write_sugarcrepe(out, [scene for scene, _ in told['test']], seed, number)
        with open(out / 'msrvtt/test.csv', 'w', newline='') as file:
            rows = [(f'ret{n}', f'msr{n}', f'video{n}', sentence) for n, sentence in enumerate(sentences)]
            csv.writer(file, lineterminator='\n').writerows([('key', 'vid_key', 'video_id', 'sentence'), *rows])
        _write_tokenizer(out / 'tokenizer')
    return True
