"""A detection set in the layout of DGM⁴, made from one's own captioned photos.

    mmvlforge forge photos captions.csv OUT --image-root images

writes

    OUT/images/<split>/0000/000.jpg     pictures, all cut of the same cloth: same size, same coder, same qualities
    OUT/metadata/{train,val,test}.json  records with DGM4's fields; the image root is OUT
    OUT/tokenizer/                      byte-level BPE tokenizer, trained on the training captions
    OUT/contact_sheet.jpg               some forgeries beside what they are made from
    OUT/left_out.txt                    what could not be used, and why
    OUT/README.txt                      what the set is, and what it is not
    OUT/forged_photos.json              the arguments, written last

Each photo comes twice, once as it is and once forged, in the same split and with the same caption to begin with. So
neither a photo nor a caption tells by itself which of the two a record is; pictures are written alike, and their names
are numbers drawn by lot. What is forged:

* ``face_blend``: a face, blended into the same picture again (:mod:`mmvlforge.forge.face_blend`);
* ``text_swap``: the caption of a similar photo of the same split;
* ``text_attribute``: a word turned into its opposite, or words written by a masked language model.

The same seed gives the same bytes with any number of workers. A finished folder of the same arguments is reused.
"""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmvlforge.annotations import CaptionRecord, ClassMap, clean_caption, read_captions
from mmvlforge.annotations.dgm4_record import TEXT_TYPES
from mmvlforge.annotations.json_files import read_text
from mmvlforge.annotations.values import one_line
from mmvlforge.datasets.transforms.loading import (
    UnusableImageError,
    decode_image,
    exif_orientation,
    open_image,
    read_image,
)
from mmvlforge.forge.face_blend import Blending, blend_face
from mmvlforge.forge.faces import FINDERS, Box, find_faces, turn_box, usable
from mmvlforge.forge.generated_set import SPLITS, filling, made_from
from mmvlforge.forge.photo_texts import (
    ANTONYMS,
    Telling,
    edit_by_language_model,
    read_antonyms,
    swap_in_pairs,
    turn_in_pairs,
)
from mmvlforge.forge.tokenizer import train_tokenizer
from mmvlforge.manifest import file_fingerprint, file_stamp
from mmvlforge.models.text_corruptor import TextCorruptor
from mmvlforge.visualization.drawing import MARGIN, PRED_COLOR, Word, save_picture, stack_panels, text_panel, wrap
from mmvlforge.workers import ordered_map

__all__ = ['CLASS_MAP', 'NOTE', 'Settings', 'make_photo_set']

FORMAT = 1  # raise it when the same arguments give other bytes
NAME = 'forged_photos'
PARTS = ('images', 'metadata', 'tokenizer', 'contact_sheet.jpg', 'left_out.txt', 'README.txt')
IMAGE_TYPES = ('real', 'face_blend')
CLASS_MAP: ClassMap = {
    '&'.join(kind for kind in (image, text) if kind != 'real') or 'orig': (image, text)
    for image in IMAGE_TYPES
    for text in TEXT_TYPES
}
NOTE = (
    "These forgeries are made by program; they are not a generator's fakes. A detector that learns from them knows "
    'blended edges, captions of other photos and turned words, and has seen nothing of what a network draws or writes.'
)
# Photos' captions, and what is drawn from, to changed ones.
Turn = Callable[[Sequence[Sequence[str]], np.random.Generator], list[Telling]]
# Of the photos with a usable face a fifth each has one of the five forged classes, as in DGM4; without a face it is
# half and half.
TEXT_SHARE, BOTH_SHARE = 4 / 5, 1 / 2
VOCAB_SIZE = 4000
QUALITIES = (75, 96)  # of JPEG, as drawn for each picture


@dataclass(frozen=True)
class Settings:
    """How a set is made.

    Args:
        faces: Where faces are: ``'haar'`` or ``'mtcnn'`` finds them, ``'file'`` takes those of the caption file.
        min_face: Shorter side of a usable face, in pixels of the written picture.
        max_side: Longer side of a written picture; larger ones are made smaller, smaller ones stay.
        val: Share of the photos that are for validation, where no list says which.
        test: Likewise, for test.
        repeats: How often each photo comes real and forged, each time forged anew.
        only_faces: Leave photos without a usable face out: as in DGM4, every picture then shows somebody.
        language_model: Folder of the masked language model that writes ``text_attribute``; None turns words.
        antonyms: File of the words to turn, ``old,young`` a line; None takes a list of ours.
        blending: How faces are blended.
    """

    faces: str = 'haar'
    min_face: int = 20
    max_side: int = 640
    val: float = 0.1
    test: float = 0.1
    repeats: int = 1
    only_faces: bool = False
    language_model: str | None = None
    antonyms: str | None = None
    blending: Blending = Blending()

    def __post_init__(self) -> None:
        if self.faces not in (*FINDERS, 'file'):
            raise ValueError(f"faces must come from one of {sorted(FINDERS)} or 'file', got {self.faces!r}")
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test < 1):
            raise ValueError(f'the shares of val and test must leave some to train on, got {self.val} and {self.test}')
        if self.min_face < 16 or self.max_side < 64 or self.repeats < 1:
            raise ValueError(
                'min_face, max_side and repeats must be at least 16, 64 and 1, got '
                f'{self.min_face}, {self.max_side} and {self.repeats}'
            )


class Photo(NamedTuple):
    """A photo as the caption file has it: its name, its captions, and its faces, xyxy pixels of the stored picture."""

    name: str
    captions: list[str]
    faces: tuple[Box, ...] = ()


class Seen(NamedTuple):
    """What reading a photo gave: a digest of the file and the faces in the picture to be written, or a problem."""

    digest: str
    faces: list[Box]
    problem: str = ''


class Item(NamedTuple):
    """A record to be written.

    Attributes:
        split: Name of the split.
        number: Of the record in its split.
        photo: Name of the photo.
        telling: What its two records say.
        forged: Whether this is the forged one.
        faces: All faces found.
        face: Number of the face to blend, or None.
    """

    split: str
    number: int
    photo: str
    telling: Telling
    forged: bool
    faces: list[Box]
    face: int | None

    @property
    def image(self) -> str:
        """Path below the set's folder."""
        return f'images/{self.split}/{self.number // 1000:04d}/{self.number % 1000:03d}.jpg'

    def record(self, box: list[int]) -> dict:
        """The record, given the box of the blended face's mask."""
        kinds = [kind for kind in ('face_blend' if box else '', self.telling.kind if self.forged else '') if kind]
        return dict(
            id=self.number,
            image=self.image,
            text=self.telling.told if self.forged else self.telling.true,
            fake_cls='&'.join(kinds) or 'orig',
            fake_image_box=box,
            fake_text_pos=list(self.telling.places) if self.forged else [],
            mtcnn_boxes=self.faces,
            photo=self.photo,
            true_text=self.telling.true,
        )


def read_photos(captions: str | Path, reader: dict, left_out: list[str]) -> tuple[list[Photo], set[str]]:
    """The photos of a caption file, and the names of all that it has; what cannot be used goes to ``left_out``.

    Raises:
        ValueError: The file breaks its format, or its records are no whole pictures.
    """
    found: dict[str, Photo] = {}
    for record in read_captions(str(captions), broken=left_out, **reader):
        if len(record.images) != 1 or record.box is not None:
            what = 'a part of one' if record.box is not None else f'{len(record.images)}'
            raise ValueError(f'{captions}, record {record.row}: it must be a whole picture with captions, not {what}')
        told = [' '.join(caption.split()) for caption in record.captions if clean_caption(caption, 1)]
        photo = found.setdefault(record.images[0], Photo(record.images[0], [], _faces(record)))
        photo.captions.extend(caption for caption in dict.fromkeys(told) if caption not in photo.captions)
    left_out += [f'{one_line(photo.name)}: no caption with a word' for photo in found.values() if not photo.captions]
    return [photo for photo in found.values() if photo.captions], set(found)


def _faces(record: CaptionRecord) -> tuple[Box, ...]:
    faces = record.extras.get('faces', ())
    assert isinstance(faces, tuple)  # the readers see to it
    return faces


def load_photo(path: str, data: bytes, max_side: int) -> tuple[np.ndarray, float]:
    """A photo as a person sees it, no larger than wanted, and how many times smaller it is made (1 or less).

    Returns:
        BGR, uint8 ``(H, W, 3)``, and the scale.
    """
    image, size = decode_image(data, path, (max_side, max_side), 'seen')
    scale = min(1.0, max_side / max(size))
    shape = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    if image.shape[1::-1] != shape:
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    return image, scale


def see(photo: Photo, root: str, settings: Settings) -> Seen:
    """Read a photo and find its faces."""
    path = str(Path(root, photo.name))
    try:
        data = read_image(path)
        image, scale = load_photo(path, data, settings.max_side)
        if settings.faces != 'file':
            faces = find_faces(image, settings.faces, settings.min_face)
        else:
            turn, size = exif_orientation(open_image(data, path)), (image.shape[1], image.shape[0])
            faces = usable([turn_box(face, turn, size, scale) for face in photo.faces], image, settings.min_face)
    except UnusableImageError as error:
        return Seen('', [], one_line(str(error)))
    return Seen(hashlib.blake2b(data, digest_size=16).hexdigest(), faces)


def split_of(name: str, digest: str, seed: int, settings: Settings, lists: dict[str, set[str]]) -> str:
    """The split of a photo: that of the list that names it, else by lot, which a split with a list takes no part in.

    The lot is drawn from the file's bytes, so that a photo stays where it is when others are added.
    """
    for split, names in lists.items():
        if name in names:
            return split
    drawn = hashlib.blake2b(f'{seed} {digest}'.encode(), digest_size=8).digest()
    place = int.from_bytes(drawn, 'little') / 2**64
    test, val = (0.0 if split in lists else getattr(settings, split) for split in ('test', 'val'))
    return 'test' if place < test else 'val' if place < test + val else 'train'


def tell(captions: list[list[str]], faces: bool, rng: np.random.Generator, turn: Turn) -> list[Telling]:
    """What the records of photos say, of those that can be forged.

    Args:
        captions: The captions of each photo.
        faces: Whether they all have a usable face, so that a caption may stay; else none has.
        rng: What everything is drawn from.
        turn: What changes words.
    """
    if not captions:
        return []
    turned = turn(captions, rng)
    pairs = list(zip(turned[::2], turned[1::2]))
    # Half of the captions that could be turned stay as they are: else they would tell that they were not swapped.
    forged = round(len(captions) * TEXT_SHARE) if faces else len(captions)
    kept = rng.permutation(len(pairs))[: min(forged // 4, (len(pairs) + 1) // 2)]
    tellings = [telling for row in kept for telling in pairs[row]]

    told = [own[int(rng.integers(len(own)))] for own in captions]
    for telling in turned:
        told[telling.photo] = telling.true
    taken = {telling.photo for telling in tellings}
    rest = [photo for photo in range(len(captions)) if photo not in taken]
    swaps = swap_in_pairs([captions[photo] for photo in rest], [told[photo] for photo in rest])
    for row in rng.permutation(len(swaps))[: (forged - len(tellings) + 1) // 2]:
        tellings += [telling._replace(photo=rest[telling.photo]) for telling in swaps[row]]
    if faces:
        taken = {telling.photo for telling in tellings}
        tellings += [Telling(photo, told[photo], told[photo]) for photo in rest if photo not in taken]
    return tellings


def turner(settings: Settings) -> Turn:
    """What changes words: the list of opposites, or the language model, which is loaded."""
    if settings.language_model:
        corruptor = TextCorruptor(settings.language_model)
        corruptor.init_weights()
        return functools.partial(edit_by_language_model, corruptor=corruptor)
    antonyms = read_antonyms(settings.antonyms) if settings.antonyms else ANTONYMS
    return functools.partial(turn_in_pairs, antonyms=antonyms)


def plan(
    split: str, photos: list[tuple[Photo, Seen]], seed: int, repeats: int, turn: Turn
) -> tuple[list[Item], list[str]]:
    """The records of a split in their order, and the photos that could not be forged."""
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    pairs: list[tuple[Photo, Seen, Telling, int | None]] = []
    for _ in range(repeats):
        for group in ([p for p in photos if p[1].faces], [p for p in photos if not p[1].faces]):
            faces = bool(group and group[0][1].faces)
            for telling in tell([photo.captions for photo, _ in group], faces, rng, turn):
                photo, seen = group[telling.photo]
                blended = faces and (not telling.kind or rng.random() < BOTH_SHARE)
                pairs.append((photo, seen, telling, int(rng.integers(len(seen.faces))) if blended else None))
    order = rng.permutation(2 * len(pairs)).tolist()
    items = []
    for number, row in enumerate(order):
        photo, seen, telling, face = pairs[row // 2]
        forged = bool(row % 2)
        items.append(Item(split, number, photo.name, telling, forged, seen.faces, face if forged else None))
    used = {item.photo for item in items}
    return items, [
        f'{one_line(photo.name)}: no face, no word to turn and no photo to swap captions with'
        for photo, _ in photos
        if photo.name not in used
    ]


def write_picture(item: Item, root: str, out: Path, seed: int, settings: Settings) -> dict:
    """Write the picture of a record, and give the record. Real pictures go the same way as forged ones."""
    rng = np.random.default_rng([seed, SPLITS.index(item.split), item.number])
    quality = int(rng.integers(*QUALITIES))
    path = str(Path(root, item.photo))
    image, _ = load_photo(path, read_image(path), settings.max_side)
    box: list[int] = []
    if item.face is not None:
        image, box = blend_face(image, item.faces[item.face], rng, settings.blending)
    encoded = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    target = out / item.image
    try:
        target.write_bytes(encoded)
    except FileNotFoundError:  # the first picture of its folder
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded)
    return item.record(box)


def draw_sheet(out: Path, records: Sequence[dict], number: int) -> np.ndarray:
    """Forged records of all classes, each beside its untouched picture, RGB, uint8 ``(H, W, 3)``."""
    real = {record['photo']: record for record in records if record['fake_cls'] == 'orig'}
    by_class = {name: [r for r in records if r['fake_cls'] == name] for name in CLASS_MAP if name != 'orig'}
    shown = [found[row] for row in range(number) for found in by_class.values() if row < len(found)][:number]
    side, size = 300, 15
    panels = []
    for record in shown:
        row = Image.new('RGB', (3 * (side + MARGIN) + MARGIN, side + 2 * MARGIN), 'white')
        for column, (name, boxed) in enumerate(
            ((real[record['photo']]['image'], False), (record['image'], False), (record['image'], True))
        ):
            picture = Image.open(out / name).convert('RGB')
            scale = side / max(picture.size)
            picture = picture.resize([max(1, round(edge * scale)) for edge in picture.size], Image.Resampling.BICUBIC)
            if boxed and record['fake_image_box']:
                edges = [edge * scale for edge in record['fake_image_box']]
                ImageDraw.Draw(picture).rectangle(edges, outline=PRED_COLOR, width=2)
            row.paste(picture, (MARGIN + column * (side + MARGIN), MARGIN))
        marked = set(record['fake_text_pos'])
        head = [Word(f'{record["fake_cls"]}: untouched, forged, forged with the box', bold=True)]
        lines = [
            head,
            *wrap([Word(word) for word in record['true_text'].split()], size, row.width - 2 * MARGIN),
            *wrap([Word(w, i in marked) for i, w in enumerate(record['text'].split())], size, row.width - 2 * MARGIN),
        ]
        panels += [row, text_panel(lines, row.width, size)]
    return stack_panels(panels)


def _read_lists(lists: dict[str, str], photos: set[str]) -> dict[str, set[str]]:
    """The photos that each list names. Raises ValueError for one that there is not, or that two lists name."""
    found: dict[str, set[str]] = {}
    for split, path in lists.items():
        found[split] = {line.strip() for line in read_text(path).removeprefix('\ufeff').split('\n')} - {''}
        if unknown := sorted(found[split] - photos):
            like = f', such as {min(photos)!r:.80}' if photos else ''
            raise ValueError(
                f'{path}: no photo of the captions has the name {unknown[0]!r:.80} ({len(unknown)} such); names are '
                f'those of the caption file{like}'
            )
        for other in found:
            both = found[split] & found[other] if other != split else set()
            if both:
                raise ValueError(f'{path}: {min(both)!r:.80} is in the list of {other}, too: a photo is in one split')
    return found


def _digest(parts: Iterable[str | bytes]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else f'{part}\n'.encode())
    return found.hexdigest()[:16]


def make_photo_set(
    captions: Path,
    out: Path,
    root: Path,
    reader: dict,
    seed: int = 0,
    workers: int = 1,
    force: bool = False,
    settings: Settings | None = None,
    lists: dict[str, str] | None = None,
    sheet: int = 12,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Counter, list[str]] | None:
    """Write a detection set.

    Args:
        captions: The caption file.
        out: Folder to fill.
        root: Folder that the pictures' paths start from.
        reader: Format of the caption file, as :func:`mmvlforge.annotations.read_captions` takes it.
        seed: Seed of everything, not negative.
        workers: Number of processes.
        force: Replace a set that was made with other arguments.
        settings: Defaults to ``Settings()``.
        lists: Split → file with the names of its photos, one a line. What no list names is split by the shares.
        sheet: Number of forgeries on the contact sheet; 0 draws none.
        progress: Called after each photo read and each picture written: how many, and how many there will be.

    Returns:
        The number of records of each class, and what was left out and why; None if the folder already held the set.

    Raises:
        ValueError: A setting or the caption file is wrong, nobody can be forged in some split, or the folder holds
            something else.
        FileNotFoundError: A file is not there.
    """
    settings = settings or Settings()
    left_out: list[str] = []
    photos, names = read_photos(captions, reader, left_out)
    named = _read_lists(lists or {}, names)
    stamps = [file_stamp(root / photo.name) for photo in photos]
    if not any(stamps):
        raise ValueError(
            f'{captions}: of its {len(photos)} pictures none is a file in {root}; the first would be '
            f'{root / photos[0].name if photos else root}. Name the folder of the pictures: --image-root'
        )
    arguments = made_from(
        FORMAT,
        seed,
        workers,
        captions=_digest(str(photo) for photo in photos),
        photos=_digest(map(str, stamps)),
        # 'only': a split with a list gets no photos by lot.
        lists=_digest(f'{split} only {sorted(names)}' for split, names in named.items()),
        language=file_fingerprint(model) if (model := settings.language_model) and Path(model).is_dir() else '',
        antonyms=_digest([Path(settings.antonyms).read_bytes()] if settings.antonyms else []),
        sheet=sheet,
        **{name: value for name, value in asdict(settings).items() if name != 'antonyms'},
    )
    arguments = json.loads(json.dumps(arguments))  # as the mark gives it back
    with filling(out, NAME, PARTS, arguments, force) as missing:
        if not missing:
            return None
        turn = turner(settings)
        most = len(photos) * (1 + 2 * settings.repeats)
        with ordered_map(workers, lambda done: progress(done, most), 'spawn') as run:
            seen = run(functools.partial(see, root=str(root), settings=settings), photos)
            groups: dict[str, list[tuple[Photo, Seen]]] = {split: [] for split in SPLITS}
            first: dict[str, str] = {}
            for photo, found in zip(photos, seen):
                name = one_line(photo.name)
                if found.problem:
                    left_out.append(f'{name}: {found.problem}')
                elif found.digest in first:
                    left_out.append(f'{name}: the same file as {first[found.digest]}')
                elif settings.only_faces and not found.faces:
                    left_out.append(f'{name}: no usable face')
                else:
                    first[found.digest] = name
                    split = split_of(photo.name, found.digest, seed, settings, named)
                    groups[split].append((photo, found))
            items = []
            for split, group in groups.items():
                planned, spared = plan(split, group, seed, settings.repeats, turn)
                wanted = split == 'train' or split in named or getattr(settings, split)
                if wanted and not planned:
                    share = f'{len(group)} of {len(first)} usable photos'
                    lost = f'; {len(left_out)} were left out, the first: {left_out[0]}' if left_out else ''
                    raise ValueError(f'{captions}: {split} has {share}, none of which can be forged{lost}')
                items += planned
                left_out += spared
            most = len(photos) + len(items)
            write = functools.partial(write_picture, root=str(root), out=out, seed=seed, settings=settings)
            records = run(write, items)
        _write_texts(out, items, records, left_out, sheet)
    return Counter(record['fake_cls'] for record in records), left_out


def _write_texts(out: Path, items: list[Item], records: list[dict], left_out: list[str], sheet: int) -> None:
    """All but the pictures."""
    (out / 'metadata').mkdir()
    for split in SPLITS:
        lines = [record for item, record in zip(items, records) if item.split == split]
        if split == 'train':
            train_tokenizer([record['true_text'] for record in lines], out / 'tokenizer', VOCAB_SIZE)
            if sheet:
                save_picture(draw_sheet(out, lines, sheet), str(out / 'contact_sheet.jpg'))
        if lines:
            text = '[' + ',\n'.join(json.dumps(record) for record in lines) + ']\n'
            (out / 'metadata' / f'{split}.json').write_text(text, encoding='utf-8')
    (out / 'left_out.txt').write_text(''.join(f'{line}\n' for line in left_out), encoding='utf-8')
    (out / 'README.txt').write_text(
        f'{NOTE}\n\nThe pictures and captions are those of the photos that this was made from: their rights, and those '
        'of the people\nin them, are what they were. Each photo comes untouched and forged, in the same split.\n'
    )
