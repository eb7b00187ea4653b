"""The conventions of one DGM⁴ annotation record, and every way a record can break them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mmvlforge.annotations.values import is_pixel, text_fault

__all__ = [
    'IMAGE_TYPES',
    'TEXT_TYPES',
    'ClassMap',
    'Problem',
    'RecordFormat',
    'box_inside',
    'dgm4_class_map',
    'record_problems',
]

ClassMap = dict[str, tuple[str, str]]

IMAGE_TYPES = ('real', 'face_swap', 'face_attribute')
TEXT_TYPES = ('real', 'text_swap', 'text_attribute')


def dgm4_class_map(real_class: str = 'orig') -> ClassMap:
    """``fake_cls`` → (image type, text type) of DGM⁴: the real class, four single ones, four pairs ``face&text``."""
    return {
        '&'.join(t for t in (image, text) if t != 'real') or real_class: (image, text)
        for image in IMAGE_TYPES
        for text in TEXT_TYPES
    }


class Problem(NamedTuple):
    """One broken convention: its kind (for counting), the field, and a message that says what would be right."""

    kind: str
    field: str
    message: str


@dataclass(frozen=True)
class RecordFormat:
    """How a data set of the DGM⁴ family writes its records; each part is a setting, not code.

    Args:
        class_map: ``fake_cls`` → (image type, text type), ``'real'`` for an untouched modality.
        box_field: Field of the manipulated region, or None if the set has none.
        word_field: Field of the manipulated word positions, or None if the set has none.
        check_agreement: Require a box exactly for image types and positions exactly for text types. Off for sets
            whose class map folds some types into ``real``.
        image_types: Image types, the real one first; their order numbers the classes. Defaults to ``'real'`` and those
            of the class map in order of first appearance, which for DGM⁴ are ``IMAGE_TYPES``.
        text_types: Likewise for the text.
        order_known: Whether a list of type scores is in the order of ``image_types`` and ``text_types``. Defaults to
            whether both were named (or have one type each), for the order in which a class map happens to be written
            says nothing of that in which a model gives its scores.
        box_tolerance: Pixels that a box may reach beyond its picture; that much is cut off, more is a problem.
            Defaults to 1, what rounding does.
    """

    class_map: ClassMap
    box_field: str | None = 'fake_image_box'
    word_field: str | None = 'fake_text_pos'
    check_agreement: bool = True
    image_types: tuple[str, ...] = ()
    text_types: tuple[str, ...] = ()
    order_known: bool | None = None
    box_tolerance: float = 1

    def __post_init__(self) -> None:
        named = [bool(self.image_types), bool(self.text_types)]
        for side, name in enumerate(('image_types', 'text_types')):
            if not getattr(self, name):
                types = dict.fromkeys(('real', *(pair[side] for pair in self.class_map.values())))
                object.__setattr__(self, name, tuple(types))
        if self.order_known is None:
            known = [name or len(types) <= 2 for name, types in zip(named, (self.image_types, self.text_types))]
            object.__setattr__(self, 'order_known', all(known))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def box_inside(box: Sequence[float], size: tuple[float, float] | None, tolerance: float = 1) -> list[float]:
    """The part of a box inside its picture.

    Args:
        box: xyxy, pixels.
        size: Width and height of the picture; None, where unknown, leaves the right and the lower side alone.
        tolerance: Pixels that the box may reach beyond.

    Raises:
        ValueError: It reaches farther, or no part of it is inside.
    """
    width, height = size or (math.inf, math.inf)
    inside = [max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)]
    if max(abs(a - b) for a, b in zip(box, inside)) > tolerance or inside[0] >= inside[2] or inside[1] >= inside[3]:
        where = 'not be negative' if size is None else f'lie inside the image of {size[0]}x{size[1]} pixels'
        pixels = f'{tolerance:g} pixel{"" if tolerance == 1 else "s"}'
        raise ValueError(f'{box} must {where}; at most {pixels} beyond the edge may be cut off')
    return inside


def _box_problem(box: Any, size: tuple[int, int] | None, tolerance: float) -> tuple[str, str] | None:
    if not isinstance(box, (list, tuple)) or len(box) not in (0, 4):
        return 'bad box', f'{box!r:.120} must be [] or [x1, y1, x2, y2]'
    if not all(map(is_pixel, box)):
        return 'bad box', f'{box!r:.120} must hold finite numbers, pixels of a picture'
    if box and not (box[0] < box[2] and box[1] < box[3]):
        return 'degenerate box', f'{box} must have x1 < x2 and y1 < y2'
    try:
        if box:
            box_inside(box, size, tolerance)
    except ValueError as error:
        return 'box outside the image', str(error)
    return None


def record_problems(record: Any, fmt: RecordFormat, size: tuple[int, int] | None = None) -> Iterator[Problem]:
    """Yield every broken convention of one record.

    Args:
        record: One element of the annotation file.
        fmt: What the data set promises.
        size: Width and height of the stored image in pixels, if known.
    """
    if not isinstance(record, dict):
        yield Problem('not an object', '', f'a record must be a JSON object, got {type(record).__name__}')
        return
    fields = ['image', 'text', 'fake_cls', fmt.box_field, fmt.word_field]
    missing = [f for f in fields if f is not None and f not in record]
    for field in missing:
        yield Problem('missing field', field, f'is missing; the record has {sorted(record)!s:.200}')
    for field in ('image', 'text'):
        value = record.get(field, '-')
        if not (isinstance(value, str) and value.strip()):
            yield Problem('bad field', field, f'{value!r:.80} must be a non-empty string')
        elif text_fault(value):
            yield Problem('bad field', field, text_fault(value))

    types = None
    if 'fake_cls' in record:
        name = record['fake_cls']
        types = fmt.class_map.get(name) if isinstance(name, str) else None
        if types is None:
            yield Problem('unknown class', 'fake_cls', f'{name!r:.80} is unknown; known are {sorted(fmt.class_map)}')

    if fmt.box_field is not None and fmt.box_field in record:
        box = record[fmt.box_field]
        found = _box_problem(box, size, fmt.box_tolerance)
        if found:
            yield Problem(found[0], fmt.box_field, found[1])
        if types and fmt.check_agreement and bool(box) != (types[0] != 'real'):
            expected = 'no box' if types[0] == 'real' else 'a box'
            yield Problem(
                'class and box disagree', fmt.box_field, f'{record["fake_cls"]!r} needs {expected}, got {box!r:.120}'
            )

    if fmt.word_field is not None and fmt.word_field in record:
        positions = record[fmt.word_field]
        if not isinstance(positions, (list, tuple)) or not all(_is_int(p) for p in positions):
            yield Problem('bad word position', fmt.word_field, f'{positions!r:.120} must be a list of integers')
            return
        n = len(record['text'].split()) if isinstance(record.get('text'), str) else None
        bad = [] if n is None else [p for p in positions if not 0 <= p < n]
        if n is not None and bad:
            yield Problem(
                'word position out of range', fmt.word_field, f'{bad!s:.120} must lie in 0..{n - 1}: {n} words'
            )
        if types and fmt.check_agreement and bool(positions) != (types[1] != 'real'):
            expected = 'no position' if types[1] == 'real' else 'at least one position'
            yield Problem(
                'class and words disagree',
                fmt.word_field,
                f'{record["fake_cls"]!r} needs {expected}, got {positions!s:.120}',
            )
