"""The drawn news: a small data set in the layout of DGM⁴, with all its nine classes.

    mmvlforge forge news OUT --num 12000

writes

    OUT/DGM4/origin/<source>/0001/001.jpg        untouched pictures
    OUT/DGM4/manipulation/<method>/<id>-....jpg  pictures with a manipulated face
    OUT/metadata/{train,val,test}.json           records with DGM4's fields; the image root is OUT
    OUT/tokenizer/                               byte-level BPE tokenizer, trained on the training captions
    OUT/mini_dgm4.json                           the arguments, written last

The same seed gives the same bytes with any number of workers: every record has its own random generator. A finished
folder of the same arguments is reused. What a picture and a caption show is drawn before the class has a say, and
manipulated captions follow the same distribution as original ones: no class can be told from the text alone.
"""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from mmvlforge.forge.drawing import overlay, take_photo, warp
from mmvlforge.forge.generated_set import SPLITS, filling, made_from
from mmvlforge.forge.news_scenes import (
    PEOPLE,
    SIZE,
    Head,
    draw_scene,
    front_hair,
    head_sprite,
    mask_face,
    opposite,
    other_scene,
    sample_scene,
    turn_mood,
    write_caption,
)
from mmvlforge.forge.tokenizer import train_tokenizer
from mmvlforge.workers import ordered_map

__all__ = ['CLASSES', 'FORMAT', 'class_list', 'make_record', 'make_mini_set']

FORMAT = 2  # raise it when the same arguments give other bytes
NAME = 'mini_dgm4'
CLASSES = (
    'orig',
    'face_swap',
    'face_attribute',
    'text_swap',
    'text_attribute',
    'face_swap&text_swap',
    'face_swap&text_attribute',
    'face_attribute&text_swap',
    'face_attribute&text_attribute',
)
# First id of each split: fixed, so that the test set does not change with the size of the training set.
FIRST_ID = {'train': 1000, 'val': 800_000, 'test': 900_000}
LAST_ID = {'train': 799_999, 'val': 899_999, 'test': 999_999}
SOURCES = ('guardian', 'usa_today', 'washington_post', 'bbc')
SWAP_METHODS = ('infoswap', 'simswap')
ATTRIBUTE_METHODS = ('HFGI', 'StyleCLIP')
VOCAB_SIZE = 1200
MAX_TOKENS = 50  # as the published models read


def class_list(num: int, seed: int, split: str) -> list[str]:
    """The class of each record: one third ``orig``, the others in equal shares, shuffled."""
    if num < len(CLASSES):
        raise ValueError(f'The {split} split needs at least {len(CLASSES)} records, one of each class, not {num}.')
    if num > LAST_ID[split] - FIRST_ID[split] + 1:
        raise ValueError(f'The {split} split has room for {LAST_ID[split] - FIRST_ID[split] + 1} records, not {num}.')
    share = max(1, num // 12)
    names = [CLASSES[0]] * (num - 8 * share) + [name for name in CLASSES[1:] for _ in range(share)]
    order = _generator(seed, split, 0).permutation(num)
    return [names[row] for row in order]


def _generator(seed: int, split: str, number: int) -> np.random.Generator:
    """Generator of a record (numbered from 1), or of the whole split (0)."""
    return np.random.default_rng([seed, SPLITS.index(split), number])


def swap_face(image: np.ndarray, head: Head, donor: int, rng: np.random.Generator) -> None:
    """Blend another person's face into a head, in place.

    The hair, the mood and the place of the face stay. What gives it away: the colours do not match, the edge of the
    blended ellipse shows, and the face is softer than the rest, because it was made at a lower resolution.
    """
    region = _face_region(head)
    x1, y1, x2, y2 = region
    face = warp(head_sprite(donor, head.mood, head.variant, True), head.matrix, region)[:, :, :3]
    height, width = face.shape[:2]
    small = cv2.resize(face, (round(width * 0.55), round(height * 0.55)), interpolation=cv2.INTER_AREA)
    face = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    # A shift of at least 18 grey levels in some channel, in a random direction of colour.
    shift = rng.uniform(-1, 1, 3)
    face += (shift / np.abs(shift).max() * rng.uniform(18, 30)).astype(np.float32)
    part = image[y1:y2, x1:x2]
    mask = mask_face(head, region, 0.86, 0.7)
    part[:] = np.clip(part + mask * (face - part), 0, 255).astype(np.uint8)
    overlay(part, warp(front_hair(head.row, head.mood), head.matrix, region))


def turn_face(image: np.ndarray, head: Head, rng: np.random.Generator) -> None:
    """Give a head the opposite mood, in place: the mouth and the brows are drawn anew.

    What gives it away: the face is over-smooth and carries the fine grid that up-sampling networks leave. Colours
    and the edge of the face stay as they were.
    """
    region = _face_region(head)
    x1, y1, x2, y2 = region
    part = image[y1:y2, x1:x2]
    face = part.copy()
    overlay(face, warp(head_sprite(head.row, opposite(head.mood), head.variant), head.matrix, region))
    face = cv2.GaussianBlur(face, (0, 0), 0.9).astype(np.float32)
    # The period of 4.6 to 5.6 pixels outlives JPEG and the resize to the network's 128 pixels.
    period = rng.uniform(4.6, 5.6)
    phase = rng.uniform(0, 2 * np.pi, 2)
    wave_x = np.sin(2 * np.pi * np.arange(x2 - x1) / period + phase[0])
    wave_y = np.sin(2 * np.pi * np.arange(y2 - y1) / period + phase[1])
    grid = rng.uniform(8, 11) * (wave_x[None, :] * wave_y[:, None])
    face += grid.astype(np.float32)[:, :, None]
    mask = mask_face(head, region, 0.93, 1.2)
    part[:] = np.clip(part + mask * (face - part), 0, 255).astype(np.uint8)


def _face_region(head: Head) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = head.box
    return max(0, x1 - 4), max(0, y1 - 4), min(SIZE, x2 + 4), min(SIZE, y2 + 4)


def _stray_box(rng: np.random.Generator) -> list[int]:
    """A small false alarm of a face detector: DGM4's records have at least two boxes."""
    width = int(rng.integers(12, 21))
    height = int(rng.integers(14, 25))
    x = int(rng.integers(0, SIZE - width))
    y = int(rng.integers(0, SIZE - height))
    return [x, y, x + width, y + height]


def make_record(seed: int, split: str, index: int, fake_cls: str) -> tuple[dict, np.ndarray]:
    """One record and its JPEG bytes.

    Args:
        seed: Seed of the data set.
        split: 'train', 'val' or 'test'.
        index: Row in the split, from 0.
        fake_cls: One of :data:`CLASSES`.

    Returns:
        The record with DGM4's fields, and the encoded picture, uint8 ``(n,)``.
    """
    rng = _generator(seed, split, index + 1)
    scene = sample_scene(rng)
    image, heads = draw_scene(scene, rng)
    record_id = FIRST_ID[split] + index

    box: list[int] = []
    if 'face_swap' in fake_cls:
        head = heads[int(rng.integers(len(heads)))]
        shown = [person.row for person in heads]
        donor = [row for row in range(len(PEOPLE)) if row not in shown][int(rng.integers(len(PEOPLE) - len(shown)))]
        swap_face(image, head, donor, rng)
        box = head.box
        method = SWAP_METHODS[int(rng.integers(2))]
        path = f'DGM4/manipulation/{method}/{record_id:06d}-{donor:06d}-{method}.jpg'
    elif 'face_attribute' in fake_cls:
        # Only the main person: the caption tells that mood.
        turn_face(image, heads[0], rng)
        box = heads[0].box
        method = ATTRIBUTE_METHODS[int(rng.integers(2))]
        path = f'DGM4/manipulation/{method}/{record_id:06d}-{method}.jpg'
    else:
        source = SOURCES[int(rng.integers(4))]
        path = f'DGM4/origin/{source}/{record_id // 1000:04d}/{record_id % 1000:03d}.jpg'

    original = words = write_caption(scene)
    if 'text_swap' in fake_cls:
        words = write_caption(other_scene(scene, rng))
    elif 'text_attribute' in fake_cls:
        words = write_caption(turn_mood(scene, rng))
    # Captions of one template and one number of people are equally long, word by word.
    fake_positions = [row for row, (new, old) in enumerate(zip(words, original)) if new != old]

    boxes = [head.box for head in heads]
    if len(boxes) == 1:
        boxes.append(_stray_box(rng))
    quality = int(rng.integers(80, 96))
    encoded = cv2.imencode('.jpg', take_photo(image, rng), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    record = dict(
        id=record_id,
        image=path,
        text=' '.join(words),
        fake_cls=fake_cls,
        fake_image_box=box,
        fake_text_pos=fake_positions,
        mtcnn_boxes=boxes,
    )
    return record, encoded


def _write_record(item: tuple[str, int, str], out: Path, seed: int) -> dict:
    split, index, fake_cls = item
    record, encoded = make_record(seed, split, index, fake_cls)
    path = out / record['image']
    try:
        path.write_bytes(encoded.tobytes())
    except FileNotFoundError:  # the first picture of its folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
    return record


def make_mini_set(
    out: Path,
    sizes: dict[str, int],
    seed: int = 0,
    workers: int = 1,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> bool:
    """Write the mini set.

    Args:
        out: Folder to fill.
        sizes: Number of records of each split.
        seed: Seed of everything, not negative.
        workers: Number of processes.
        force: Replace a mini set that was made with other arguments.
        progress: Called after each record: how many are drawn, and how many there will be.

    Returns:
        False if the folder already held the set.
    """
    numbers = {f'num_{split}': sizes[split] for split in SPLITS}
    arguments = made_from(FORMAT, seed, workers, **numbers)
    items = [
        (split, index, name) for split in SPLITS for index, name in enumerate(class_list(sizes[split], seed, split))
    ]
    with filling(out, NAME, ('DGM4', 'metadata', 'tokenizer'), arguments, force) as missing:
        if not missing:
            return False
        with ordered_map(workers, lambda done: progress(done, len(items)), 'spawn') as run:
            records = run(functools.partial(_write_record, out=out, seed=seed), items)

        (out / 'metadata').mkdir()
        for split in SPLITS:
            lines, records = records[: sizes[split]], records[sizes[split] :]
            if split == 'train':
                train_tokenizer([record['text'] for record in lines], out / 'tokenizer', VOCAB_SIZE, MAX_TOKENS)
            text = '[' + ',\n'.join(json.dumps(record) for record in lines) + ']\n'
            (out / 'metadata' / f'{split}.json').write_text(text)
    return True
