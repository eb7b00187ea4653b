"""News-like scenes drawn by program: who, with what, where and in which mood, as a caption and as a picture.

A :class:`Scene` holds everything a caption says. :func:`sample_scene` draws all its parts independently and
uniformly, so no part tells anything about another. :func:`write_caption` turns it into words, :func:`draw_scene`
into a picture. People, objects and places are drawn once, enlarged, as sprites (premultiplied BGRA) and are then only
scaled, turned and pasted.
"""

import functools
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from mmvlforge.forge.drawing import Pen, dark, mix, opaque, paste, pick, ramp

__all__ = [
    'MOODS', 'OBJECTS', 'PEOPLE', 'PLACES', 'SIZE', 'Head', 'Picture', 'Scene', 'draw_scene', 'front_hair',
    'head_sprite', 'mask_face', 'opposite', 'other_scene', 'sample_scene', 'turn_mood', 'write_caption',
]  # fmt: skip

SIZE = 144  # width and height of a stored picture in pixels
MOODS = ('happy', 'unhappy')

# Colours are BGR, as OpenCV writes them.
_SKIN = {
    'fair': (190, 212, 245),
    'peach': (150, 185, 232),
    'tan': (105, 150, 205),
    'brown': (70, 105, 160),
    'dark': (50, 72, 110),
}
_HAIR = {
    'black': (28, 24, 24),
    'brown': (30, 55, 95),
    'blond': (95, 195, 235),
    'red': (30, 80, 190),
    'grey': (170, 170, 170),
    'white': (235, 235, 235),
}
# Half width, half height, squareness (2 = ellipse) and narrowing of the jaw, in units of the widest face's half width.
_SHAPE = {
    'round': (1.0, 1.08, 2.0, 0.0),
    'oval': (0.92, 1.22, 2.1, 0.10),
    'long': (0.86, 1.34, 2.4, 0.08),
    'square': (0.96, 1.18, 3.0, 0.02),
    'heart': (0.96, 1.20, 2.2, 0.26),
}


class Person(NamedTuple):
    """A named person and the fixed look: keys of the tables above, hair cut, glasses, beard and shirt (BGR)."""

    name: str
    skin: str
    hair: str
    cut: str
    shape: str
    glasses: str
    beard: str
    shirt: tuple[int, int, int]
    stripes: tuple[int, int, int] | None


PEOPLE = (
    Person('Anna Keller', 'fair', 'blond', 'long', 'oval', '', '', (60, 60, 200), None),
    Person('Omar Haddad', 'tan', 'black', 'short', 'square', '', 'full', (235, 235, 235), None),
    Person('Grace Okafor', 'dark', 'black', 'afro', 'round', '', '', (40, 190, 240), None),
    Person('Liam Byrne', 'fair', 'red', 'spiky', 'long', '', 'goatee', (70, 130, 40), None),
    Person('Mei Tanaka', 'peach', 'black', 'bob', 'round', 'round', '', (190, 110, 225), None),
    Person('Carlos Vega', 'tan', 'brown', 'side', 'oval', '', 'moustache', (150, 70, 25), (240, 240, 240)),
    Person('Ingrid Larsen', 'fair', 'grey', 'bun', 'heart', 'square', '', (120, 60, 110), None),
    Person('Rajiv Menon', 'brown', 'black', 'side', 'round', 'square', 'moustache', (80, 150, 245), None),
    Person('Sofia Marino', 'peach', 'red', 'curly', 'heart', '', '', (165, 170, 30), None),
    Person('Jack Doyle', 'peach', 'grey', 'bald', 'square', '', '', (60, 60, 60), (40, 60, 210)),
    Person('Leila Farouk', 'tan', 'brown', 'long', 'heart', 'round', '', (205, 215, 130), None),
    Person('Victor Petrov', 'fair', 'white', 'short', 'long', 'round', 'full', (35, 35, 120), None),
    Person('Naomi Clarke', 'brown', 'black', 'bun', 'oval', '', '', (90, 200, 120), (255, 255, 255)),
    Person('Henry Walsh', 'dark', 'grey', 'bald', 'oval', 'square', 'goatee', (200, 120, 60), None),
)

# What is done with an object, and the kinds of a place: the words are chosen at random and always have one word each,
# so that captions of one template are equally long.
OBJECTS = {
    'trophy': ('lifting', 'polishing'),
    'flag': ('waving', 'unfolding'),
    'umbrella': ('opening', 'shaking'),
    'ball': ('throwing', 'catching'),
    'microphone': ('testing', 'gripping'),
    'book': ('reading', 'signing'),
    'flowers': ('smelling', 'arranging'),
    'guitar': ('playing', 'tuning'),
    'dog': ('stroking', 'feeding'),
    'suitcase': ('packing', 'carrying'),
}
PLACES = {
    'stadium': ('packed', 'national'),
    'beach': ('sunny', 'sandy'),
    'courtroom': ('panelled', 'solemn'),
    'street': ('busy', 'urban'),
    'theatre': ('dark', 'royal'),
    'office': ('modern', 'tidy'),
    'garden': ('green', 'blooming'),
    'airport': ('bright', 'international'),
}
_VERBS = {'happy': ('smiles', 'grins', 'beams', 'laughs'), 'unhappy': ('frowns', 'scowls', 'weeps', 'sobs')}
_ADVERBS = {
    'happy': ('proudly', 'happily', 'cheerfully', 'joyfully'),
    'unhappy': ('bitterly', 'sadly', 'angrily', 'gloomily'),
}
_ADJECTIVES = {
    'happy': ('happy', 'cheerful', 'delighted', 'proud'),
    'unhappy': ('tearful', 'gloomy', 'furious', 'dejected'),
}
# One mood verb and one mood adverb or adjective each. {second} is empty or a preposition and a name.
TEMPLATES = (
    '{main} {verb} {adverb} {second} while {action} the {object} at the {kind} {place} {when}',
    'A {adjective} {main} {verb} {second} while {action} the {object} at the {kind} {place} {when}',
    '{main} {second} {verb} {adverb} at the {kind} {place} after {action} the {object} {when}',
    'Looking {adjective} {main} {verb} {second} at the {kind} {place} before {action} the {object} {when}',
    'Pictured at the {kind} {place} {main} {verb} {adverb} {second} while {action} the {object} {when}',
    '{main} seen {action} the {object} {second} {verb} {adverb} at the {kind} {place} {when}',
    'At the {kind} {place} a {adjective} {main} {verb} {second} while {action} the {object} {when}',
    'Photo shows {adjective} {main} who {verb} {second} after {action} the {object} at the {kind} {place} {when}',
)
_BESIDE = ('beside', 'with', 'alongside', 'near')
_WHEN = ('', 'on Friday', 'on Sunday', 'last week', 'yesterday', 'in 2014', 'in March', 'in June')


@dataclass(frozen=True)
class Scene:
    """All that a caption tells.

    Attributes:
        main: Row of :data:`PEOPLE` of the main person, always the first named.
        second: Row of the second person, or None.
        object, action: What the main person holds, and the word for doing so.
        place, kind: Where they are, and the word before it.
        mood: One of :data:`MOODS`, of the main person.
        verb, adverb, adjective: Mood words; a template uses the verb and one of the others.
        template: Row of :data:`TEMPLATES`.
        beside, when: Words that the picture does not show.
    """

    main: int
    second: int | None
    object: str
    action: str
    place: str
    kind: str
    mood: str
    verb: str
    adverb: str
    adjective: str
    template: int
    beside: str
    when: str


def opposite(mood: str) -> str:
    """The other one of :data:`MOODS`."""
    return MOODS[1 - MOODS.index(mood)]


def _mood_words(mood: str, rng: np.random.Generator) -> dict:
    words = {'verb': _VERBS, 'adverb': _ADVERBS, 'adjective': _ADJECTIVES}
    return dict(mood=mood, **{name: pick(rng, table[mood]) for name, table in words.items()})


def _object_and_place(rng: np.random.Generator, avoid: Scene | None = None) -> dict:
    thing = pick(rng, [name for name in OBJECTS if avoid is None or name != avoid.object])
    place = pick(rng, [name for name in PLACES if avoid is None or name != avoid.place])
    return dict(object=thing, action=pick(rng, OBJECTS[thing]), place=place, kind=pick(rng, PLACES[place]))


def sample_scene(rng: np.random.Generator) -> Scene:
    """A scene whose parts are independent and uniform; two people in half of the scenes."""
    main = int(rng.integers(len(PEOPLE)))
    second = (main + 1 + int(rng.integers(len(PEOPLE) - 1))) % len(PEOPLE) if rng.random() < 0.5 else None
    return Scene(
        main=main,
        second=second,
        **_object_and_place(rng),
        **_mood_words(pick(rng, MOODS), rng),
        template=int(rng.integers(len(TEMPLATES))),
        beside=pick(rng, _BESIDE),
        when=pick(rng, _WHEN),
    )


def other_scene(scene: Scene, rng: np.random.Generator) -> Scene:
    """Another scene of the same main person and mood, told in the same sentence: object, place and second differ."""
    second = scene.second
    if second is not None:
        second = pick(rng, [row for row in range(len(PEOPLE)) if row not in (scene.main, scene.second)])
    return replace(scene, second=second, **_object_and_place(rng, avoid=scene))


def turn_mood(scene: Scene, rng: np.random.Generator) -> Scene:
    """The same scene told with mood words of the opposite polarity."""
    return replace(scene, **_mood_words(opposite(scene.mood), rng))


def write_caption(scene: Scene) -> list[str]:
    """The words of the scene's caption: ASCII, no punctuation, 12 to 20 words."""
    second = '' if scene.second is None else f'{scene.beside} {PEOPLE[scene.second].name}'
    slots = dict(vars(scene), main=PEOPLE[scene.main].name, second=second)
    return TEMPLATES[scene.template].format(**slots).split()


# ---------------------------------------------------------------------------------------------------------------------
# People, drawn on an enlarged canvas in units of half a face

_RADIUS = 32  # half width of the widest face in a head sprite of the main person, in pixels
_CANVAS = (4.0, 4.75)  # width and height of a head sprite in units
_CENTRE = (2.0, 2.2)  # of the face
_DRAWN = 96  # pixels per unit while drawing
_VARIANTS = 3  # ways to draw each mood


def _bow(x: float, y: float, half: float, depth: float, n: int = 13) -> np.ndarray:
    """A parabola of the given half width; a positive depth hangs down (a smile)."""
    t = np.linspace(-1, 1, n)
    return np.stack([x + half * t, y + depth * (1 - t * t)], axis=1)


def _outline(person: Person, grow: float = 1.0) -> np.ndarray:
    rx, ry, square, jaw = _SHAPE[person.shape]
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / square)
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / square)
    x = x * (1 - jaw * np.maximum(y, 0) ** 1.5)
    return np.stack([x * rx, y * ry], axis=1) * grow


def _draw_features(pen: Pen, person: Person, mood: str, variant: int) -> None:
    rx, ry, _, _ = _SHAPE[person.shape]
    skin, hair = _SKIN[person.skin], _HAIR[person.hair]
    mouth_y, eye_y, eye_x = 0.52 * ry, -0.14 * ry, 0.42 * rx
    sign = {'happy': 1, 'unhappy': -1, 'neutral': 0}[mood]

    if person.beard == 'full':
        outline = _outline(person, 1.01)
        jaw = outline[outline[:, 1] > 0.12 * ry]
        jaw = jaw[np.argsort(-jaw[:, 0], kind='stable')]
        pen.poly(np.concatenate([jaw, [(-0.62 * rx, 0.2 * ry), (-0.45 * rx, 0.3 * ry), (0.45 * rx, 0.3 * ry),
                                       (0.62 * rx, 0.2 * ry)]]), hair)  # fmt: skip
    elif person.beard == 'goatee':
        pen.oval(0, 0.84 * ry, 0.3 * rx, 0.2 * ry, hair)
    if person.beard in ('full', 'moustache'):
        pen.line(_bow(0, 0.33 * ry, 0.42 * rx, -0.06), hair, 0.16)

    if sign == 1:  # cheeks
        for side in (-1, 1):
            pen.oval(side * 0.6 * rx, 0.24 * ry, 0.17, 0.11, mix(skin, (120, 110, 245), 0.35))
    pen.line([(-0.02, -0.04 * ry), (0.13, 0.2 * ry), (-0.05, 0.24 * ry)], dark(skin, 0.32), 0.07)  # nose

    for side in (-1, 1):
        laughing = sign == 1 and variant == 2
        if laughing:
            pen.line(_bow(side * eye_x, eye_y + 0.04, 0.19, -0.15), (25, 25, 25), 0.085)
        else:
            pen.oval(side * eye_x, eye_y, 0.2, 0.14, (250, 250, 250))
            pen.oval(side * eye_x, eye_y + 0.01, 0.115, 0.13, (45, 50, 60))
            pen.oval(side * eye_x - 0.04, eye_y - 0.04, 0.035, 0.035, (250, 250, 250))
            pen.line(_bow(side * eye_x, eye_y - 0.06, 0.22, -0.1), (25, 25, 25), 0.055)
        # Brows: arched when happy, slanting when unhappy (down to the nose in anger, up in grief).
        brow = dark(hair, 0.35) if person.hair != 'white' else (150, 150, 150)
        brow_y = eye_y - 0.32 * ry
        if sign == 1:
            points = _bow(side * eye_x, brow_y + 0.02, 0.28, -0.13)
        elif sign == 0:
            points = np.array([(side * (eye_x - 0.25), brow_y + 0.06), (side * (eye_x + 0.25), brow_y + 0.06)])
        else:
            slant = 0.17 if variant == 1 else -0.16
            points = np.array([(side * (eye_x - 0.3), brow_y + 0.08 + slant),
                               (side * (eye_x + 0.26), brow_y + 0.08 - slant)])  # fmt: skip
        pen.line(points, brow, 0.125)
        if sign == -1 and variant == 2:  # a tear
            pen.oval(side * (eye_x + 0.05), eye_y + 0.36, 0.075, 0.16, (250, 215, 130))

    lips = (60, 50, 190) if person.skin not in ('dark', 'brown') else (70, 60, 175)
    half = 0.52 * rx
    if sign == 1 and variant != 1:
        top, bottom = _bow(0, mouth_y - 0.1, half, 0.1), _bow(0, mouth_y - 0.1, half, 0.5)
        pen.poly(np.concatenate([top, bottom[::-1]]), (40, 25, 110))
        pen.poly(np.concatenate([top, _bow(0, mouth_y - 0.1, half, 0.27)[::-1]]), (252, 252, 252))
        pen.line(np.concatenate([top, bottom[::-1]]), lips, 0.065, closed=True)
    elif sign == 1:
        pen.line(_bow(0, mouth_y - 0.14, half, 0.34), lips, 0.15)
    elif sign == 0:
        pen.line([(-0.3 * rx, mouth_y), (0.3 * rx, mouth_y)], lips, 0.12)
    elif variant == 1:
        top, bottom = _bow(0, mouth_y + 0.24, half, -0.5), _bow(0, mouth_y + 0.24, half, -0.12)
        pen.poly(np.concatenate([top, bottom[::-1]]), (40, 25, 110))
        pen.line(_bow(0, mouth_y + 0.21, 0.7 * half, -0.3), (235, 235, 235), 0.07)
        pen.line(np.concatenate([top, bottom[::-1]]), lips, 0.065, closed=True)
    else:
        pen.line(_bow(0, mouth_y + 0.2, half, -0.36), lips, 0.15)

    if person.glasses:
        for side in (-1, 1):
            if person.glasses == 'round':
                pen.oval(side * eye_x, eye_y, 0.31, 0.28, (30, 30, 30), width=0.07)
            else:
                x, y = side * eye_x, eye_y + 0.02
                pen.line([(x - 0.33, y - 0.22), (x + 0.33, y - 0.22), (x + 0.28, y + 0.24), (x - 0.28, y + 0.24)],
                         (35, 25, 20), 0.085, closed=True)  # fmt: skip
            pen.line([(side * (eye_x + 0.31), eye_y), (side * rx * 0.97, eye_y - 0.06)], (30, 30, 30), 0.06)
        pen.line([(-eye_x + 0.31, eye_y), (eye_x - 0.31, eye_y)], (30, 30, 30), 0.07)


def _cap(person: Person, line_y: float, sides_y: float, grow: float = 1.1) -> np.ndarray:
    """Hair on the top of the head, between a grown outline and a hair line."""
    rx, ry, _, _ = _SHAPE[person.shape]
    outline = _outline(person, grow)
    top = outline[outline[:, 1] <= sides_y]
    top = top[np.argsort(np.arctan2(top[:, 0], -top[:, 1]), kind='stable')]  # from the left side over the top
    return np.concatenate([top, [(0.86 * rx, sides_y), (0.72 * rx, line_y + 0.1), (0.4 * rx, line_y),
                                 (-0.4 * rx, line_y), (-0.72 * rx, line_y + 0.1), (-0.86 * rx, sides_y)]])  # fmt: skip


def _draw_back_hair(pen: Pen, person: Person) -> None:
    rx, ry, _, _ = _SHAPE[person.shape]
    hair = dark(_HAIR[person.hair], 0.18)
    if person.cut == 'long':
        pen.oval(0, -0.25, 1.26 * rx, 1.1 * ry, hair)
        pen.poly([(-1.25 * rx, -0.3), (1.25 * rx, -0.3), (1.38 * rx, 1.5 * ry), (0.7 * rx, 1.7 * ry),
                  (-0.7 * rx, 1.7 * ry), (-1.38 * rx, 1.5 * ry)], hair)  # fmt: skip
    elif person.cut == 'bob':
        pen.oval(0, -0.2, 1.26 * rx, 1.06 * ry, hair)
        pen.poly([(-1.25 * rx, -0.3), (1.25 * rx, -0.3), (1.32 * rx, 0.78 * ry), (-1.32 * rx, 0.78 * ry)], hair)
    elif person.cut == 'afro':
        pen.oval(0, -0.42 * ry, 1.52 * rx, 1.16 * ry, hair)
    elif person.cut == 'curly':
        for angle in np.linspace(-1.15 * np.pi, 0.15 * np.pi, 13).tolist():
            pen.oval(1.1 * rx * np.cos(angle), 0.95 * ry * np.sin(angle) - 0.05, 0.36, 0.36, hair)
    elif person.cut == 'bun':
        pen.oval(0, -1.28 * ry, 0.46, 0.4, hair)


def _draw_front_hair(pen: Pen, person: Person) -> None:
    rx, ry, _, _ = _SHAPE[person.shape]
    hair = _HAIR[person.hair]
    if person.cut == 'short':
        pen.poly(_cap(person, -0.62 * ry, -0.12 * ry), hair)
    elif person.cut == 'long':
        pen.poly(_cap(person, -0.7 * ry, 0.1 * ry, 1.14), hair)
        pen.line([(0, -1.1 * ry), (0, -0.72 * ry)], dark(hair, 0.35), 0.05)
    elif person.cut == 'bob':
        pen.poly(_cap(person, -0.54 * ry, 0.25 * ry, 1.14), hair)
        pen.box(-0.72 * rx, -0.8 * ry, 0.72 * rx, -0.5 * ry, hair)
    elif person.cut == 'bun':
        pen.poly(_cap(person, -0.68 * ry, -0.05 * ry, 1.08), hair)
    elif person.cut == 'side':
        cap = _cap(person, -0.7 * ry, -0.12 * ry, 1.12)
        pen.poly(cap, hair)
        pen.poly([(-0.95 * rx, -0.6 * ry), (-0.55 * rx, -1.12 * ry), (0.9 * rx, -0.95 * ry), (0.8 * rx, -0.55 * ry),
                  (-0.1 * rx, -0.72 * ry)], hair)  # fmt: skip
        pen.line([(-0.5 * rx, -1.05 * ry), (-0.32 * rx, -0.72 * ry)], dark(hair, 0.5), 0.06)
    elif person.cut == 'spiky':
        pen.poly(_cap(person, -0.62 * ry, -0.15 * ry, 1.05), hair)
        for x in np.linspace(-0.8, 0.8, 6).tolist():
            y = -0.85 * ry + 0.35 * abs(x)
            pen.poly([(x - 0.22, y + 0.2), (x + 0.22, y + 0.2), (x * 1.2, y - 0.5)], hair)
    elif person.cut == 'afro':
        pen.poly(_cap(person, -0.6 * ry, -0.1 * ry, 1.15), dark(hair, 0.1))
    elif person.cut == 'curly':
        for x in np.linspace(-0.85, 0.85, 7).tolist():
            pen.oval(x * rx, -0.82 * ry + 0.38 * x * x, 0.24, 0.2, hair)
    elif person.cut == 'bald':
        for side in (-1, 1):
            pen.oval(side * 0.97 * rx, -0.18 * ry, 0.1, 0.3, hair)
        pen.oval(-0.25 * rx, -0.75 * ry, 0.2, 0.09, mix(_SKIN[person.skin], (255, 255, 255), 0.45), angle=-15)


def _new_canvas() -> tuple[np.ndarray, Pen]:
    width, height = (round(side * _DRAWN) for side in _CANVAS)
    image = np.zeros((height, width, 4), np.uint8)
    return image, Pen(image, _DRAWN, (_CENTRE[0] * _DRAWN, _CENTRE[1] * _DRAWN))


def _shrink(image: np.ndarray, radius: int) -> np.ndarray:
    return cv2.resize(image, tuple(round(side * radius) for side in _CANVAS), interpolation=cv2.INTER_AREA)


def _radius(mood: str) -> int:
    # Second persons are neutral and about half as large: their sprites are, too.
    return _RADIUS // 2 if mood == 'neutral' else _RADIUS


@functools.cache
def head_sprite(row: int, mood: str, variant: int, bare: bool = False) -> np.ndarray:
    """Head of a person, uint8 ``(h, w, 4)``; bare: the face alone with skin all round, for another's head."""
    person = PEOPLE[row]
    rx, ry, _, _ = _SHAPE[person.shape]
    skin = _SKIN[person.skin]
    image, pen = _new_canvas()
    if bare:
        image[:] = opaque(skin)
    else:
        _draw_back_hair(pen, person)
        pen.poly([(-0.42, 0.5 * ry), (0.42, 0.5 * ry), (0.5, ry + 0.5), (0, ry + 0.75), (-0.5, ry + 0.5)],
                 dark(skin, 0.16))  # fmt: skip
        for side in (-1, 1):
            pen.oval(side * rx, 0.02, 0.17, 0.27, dark(skin, 0.12))
        pen.poly(_outline(person), skin)
        pen.line(_outline(person), dark(skin, 0.25), 0.035, closed=True)
    _draw_features(pen, person, mood, variant)
    if not bare:
        _draw_front_hair(pen, person)
    return _shrink(image, _radius(mood))


@functools.cache
def front_hair(row: int, mood: str) -> np.ndarray:
    """The hair before a person's face alone, in the size of :func:`head_sprite`."""
    image, pen = _new_canvas()
    _draw_front_hair(pen, PEOPLE[row])
    return _shrink(image, _radius(mood))


@dataclass(frozen=True)
class Head:
    """A drawn head: whose, in which mood, and where.

    Attributes:
        row: Row of :data:`PEOPLE`.
        mood, variant: Drawn mood, 'neutral' for second persons, and the way of drawing it.
        matrix: Sprite to picture, float64 ``(2, 3)``.
        centre, axes, angle: The face's ellipse in pixels and degrees.
    """

    row: int
    mood: str
    variant: int
    matrix: np.ndarray
    centre: tuple[float, float]
    axes: tuple[float, float]
    angle: float

    @property
    def box(self) -> list[int]:
        """Tight box of the face, xyxy integers inside the picture."""
        turn = np.deg2rad(self.angle)
        half_x = np.hypot(self.axes[0] * np.cos(turn), self.axes[1] * np.sin(turn))
        half_y = np.hypot(self.axes[0] * np.sin(turn), self.axes[1] * np.cos(turn))
        x, y = self.centre
        edges = np.round([x - half_x, y - half_y, x + half_x, y + half_y])
        return [int(edge) for edge in np.clip(edges, 0, SIZE)]


def _place_head(row: int, mood: str, x: float, y: float, size: float, rng: np.random.Generator) -> Head:
    # The size is the geometric mean of width and height, so that long faces are not larger than round ones.
    rx, ry, _, _ = _SHAPE[PEOPLE[row].shape]
    radius = _radius(mood)
    scale_x = size / (2 * radius * np.sqrt(rx * ry))
    scale_y = scale_x * rng.uniform(0.95, 1.05)
    angle = rng.uniform(-7, 7)
    turn = np.deg2rad(angle)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([scale_x, scale_y])
    offset = np.array([x, y]) - linear @ (np.array(_CENTRE) * radius)
    return Head(
        row=row,
        mood=mood,
        variant=int(rng.integers(_VARIANTS)),
        matrix=np.hstack([linear, offset[:, None]]),
        centre=(x, y),
        axes=(rx * radius * scale_x, ry * radius * scale_y),
        angle=angle,
    )


def mask_face(head: Head, region: tuple[int, int, int, int], grow: float, soft: float) -> np.ndarray:
    """The face's ellipse as weights, float32 ``(h, w, 1)`` in [0, 1] over a region (xyxy).

    Args:
        head: Whose face.
        region: Part of the picture.
        grow: Factor on the ellipse's axes.
        soft: Standard deviation of the edge in pixels.
    """
    x1, y1, x2, y2 = region
    mask = np.zeros((y2 - y1, x2 - x1), np.float32)
    centre = (round((head.centre[0] - x1) * 16), round((head.centre[1] - y1) * 16))
    axes = (round(head.axes[0] * grow * 16), round(head.axes[1] * grow * 16))
    # cv2 has no anti-aliasing on float pictures: the softness stands in for it.
    cv2.ellipse(mask, centre, axes, head.angle, 0, 360, 1.0, -1, cv2.LINE_8, 4)
    return cv2.GaussianBlur(mask, (0, 0), soft)[:, :, None]


_CONFETTI = ((60, 60, 235), (60, 220, 250), (230, 120, 60), (90, 210, 90), (220, 90, 220), (255, 255, 255))


def _set_mood(image: np.ndarray, mood: str, rng: np.random.Generator) -> None:
    """Let the place tell the mood, too, in place: confetti in the air, or dim light."""
    if mood == 'happy':
        pen = Pen(image, SIZE)
        for x, y in rng.uniform(0, 1, (45, 2)) * (1, 0.75):
            pen.oval(x, y, rng.uniform(0.012, 0.02), 0.01, pick(rng, _CONFETTI), angle=rng.uniform(0, 180))
    else:
        image[:] = cv2.multiply(image, (0.6, 0.6, 0.6, 0))  # type: ignore[call-overload]  # takes a scalar too


def _draw_raised_arm(image: np.ndarray, head: Head, side: int) -> None:
    """An arm thrown up beside the head."""
    person = PEOPLE[head.row]
    (x, y), (rx, ry) = head.centre, head.axes
    pen = Pen(image, 1.0)
    shoulder, elbow, hand = (x + side * 1.7 * rx, y + 1.9 * ry), (x + side * 2.3 * rx, y + ry), (x + side * 1.9 * rx, y)
    pen.line([shoulder, elbow, hand], person.shirt, 0.55 * rx)
    pen.line([shoulder, elbow, hand], dark(person.shirt, 0.12), 0.3 * rx)
    pen.oval(hand[0], hand[1] - 0.2 * ry, 0.34 * rx, 0.3 * ry, _SKIN[person.skin])


def _draw_body(image: np.ndarray, head: Head) -> None:
    person = PEOPLE[head.row]
    (x, y), (rx, ry) = head.centre, head.axes
    pen = Pen(image, 1.0)
    top, low = y + 1.22 * ry, SIZE + 2
    shoulder = 2.15 * rx
    pen.poly([(x - 0.55 * rx, top), (x + 0.55 * rx, top), (x + 1.5 * rx, top + 0.28 * ry),
              (x + shoulder, top + 0.75 * ry), (x + 1.1 * shoulder, low), (x - 1.1 * shoulder, low),
              (x - shoulder, top + 0.75 * ry), (x - 1.5 * rx, top + 0.28 * ry)], person.shirt)  # fmt: skip
    if person.stripes:
        for step in (0.5, 0.95, 1.4, 1.85):
            band_y, half = top + step * ry, (0.66 + 0.34 * min(1.0, step / 0.75)) * shoulder
            pen.box(x - half, band_y, x + half, band_y + 0.16 * ry, person.stripes)
    else:
        edge = dark(person.shirt, 0.3)
        for side in (-1, 1):
            pen.line([(x + side * 1.45 * rx, top + 1.0 * ry), (x + side * 1.5 * rx, low)], edge, 1)
            pen.poly([(x + side * 0.55 * rx, top - 1), (x + side * 0.95 * rx, top + 0.22 * ry),
                      (x, top + 0.62 * ry)], edge)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Objects: unit square, drawn 256 pixels wide, kept at 64.

_OBJECT_PIXELS = 64
# Where the hand holds it: distance from the middle.
_GRIP = {
    'trophy': 0.1, 'flag': 0.3, 'umbrella': 0.08, 'ball': 0.42, 'microphone': 0.1, 'book': 0.46, 'flowers': 0.1,
    'guitar': 0.26, 'dog': 0.3, 'suitcase': 0.44,
}  # fmt: skip


@functools.cache
def _object_sprite(name: str) -> np.ndarray:
    image = np.zeros((256, 256, 4), np.uint8)
    pen = Pen(image, 256)
    ink = (30, 30, 30)
    if name == 'trophy':
        gold = (40, 190, 250)
        for side in (-1, 1):
            pen.oval(0.5 + side * 0.3, 0.28, 0.14, 0.16, dark(gold, 0.25), width=0.07)
        pen.poly([(0.2, 0.06), (0.8, 0.06), (0.74, 0.42), (0.58, 0.58), (0.42, 0.58), (0.26, 0.42)], gold)
        pen.box(0.45, 0.56, 0.55, 0.78, dark(gold, 0.25))
        pen.box(0.28, 0.76, 0.72, 0.96, (40, 45, 80))
        pen.box(0.3, 0.1, 0.38, 0.4, (190, 240, 255))
    elif name == 'flag':
        pen.line([(0.14, 0.04), (0.14, 0.98)], (60, 90, 130), 0.07)
        for row, colour in enumerate([(50, 40, 215), (250, 250, 250), (190, 90, 20)]):
            along = np.linspace(0.17, 0.97, 12)
            wave = 0.05 + 0.04 * np.sin((along - 0.17) * 9)
            upper = np.stack([along, wave + row * 0.19], 1)
            pen.poly(np.concatenate([upper, upper[::-1] + (0, 0.2)]), colour)
    elif name == 'umbrella':
        pen.line([(0.5, 0.4), (0.5, 0.88), (0.56, 0.95), (0.64, 0.9)], ink, 0.05)
        half = np.asarray(cv2.ellipse2Poly((0, 0), (1000, 1000), 0, 180, 360, 6)) / 1000.0 * (0.48, 0.46) + (0.5, 0.54)
        pen.poly(half, (190, 40, 130))
        for left in (0.02, 0.34, 0.66):
            pen.oval(left + 0.16, 0.54, 0.16, 0.09, (150, 20, 90))
        pen.line([(0.5, 0.03), (0.5, 0.12)], ink, 0.04)
    elif name == 'ball':
        pen.oval(0.5, 0.5, 0.46, 0.46, (250, 250, 250))
        pen.oval(0.5, 0.5, 0.46, 0.46, ink, width=0.035)
        for angle in np.arange(5) * 72.0 - 90:
            turn = np.deg2rad(angle)
            pen.line([(0.5, 0.5), (0.5 + 0.44 * np.cos(turn), 0.5 + 0.44 * np.sin(turn))], ink, 0.035)
            pen.oval(0.5 + 0.39 * np.cos(turn), 0.5 + 0.39 * np.sin(turn), 0.1, 0.1, ink)
        angle = np.deg2rad(np.arange(5) * 72.0 + 90)
        pen.poly(np.stack([0.5 + 0.18 * np.cos(angle), 0.5 + 0.18 * np.sin(angle)], 1), ink)
    elif name == 'microphone':
        pen.poly([(0.4, 0.42), (0.6, 0.42), (0.56, 0.97), (0.44, 0.97)], (45, 45, 45))
        pen.oval(0.5, 0.25, 0.21, 0.23, (175, 175, 180))
        for step in np.linspace(0.1, 0.4, 5).tolist():
            pen.line([(0.32, step), (0.68, step)], (95, 95, 100), 0.022)
        pen.box(0.3, 0.36, 0.7, 0.44, (60, 60, 200))
    elif name == 'book':
        pen.poly([(0.02, 0.2), (0.5, 0.3), (0.98, 0.2), (0.98, 0.86), (0.5, 0.96), (0.02, 0.86)], (150, 60, 30))
        pen.poly([(0.07, 0.14), (0.5, 0.24), (0.5, 0.88), (0.07, 0.78)], (235, 250, 252))
        pen.poly([(0.93, 0.14), (0.5, 0.24), (0.5, 0.88), (0.93, 0.78)], (220, 238, 242))
        for y in (0.3, 0.42, 0.54, 0.66):
            pen.line([(0.14, y - 0.02), (0.43, y + 0.05)], (110, 110, 110), 0.03)
            pen.line([(0.86, y - 0.02), (0.57, y + 0.05)], (110, 110, 110), 0.03)
    elif name == 'flowers':
        for x, y in ((0.25, 0.3), (0.5, 0.18), (0.75, 0.3), (0.38, 0.45), (0.63, 0.45)):
            pen.line([(x, y), (0.5, 0.95)], (50, 140, 50), 0.035)
        pen.poly([(0.28, 0.6), (0.72, 0.6), (0.56, 0.98), (0.44, 0.98)], (235, 235, 250))
        for n, (x, y) in enumerate(((0.25, 0.3), (0.5, 0.18), (0.75, 0.3), (0.38, 0.48), (0.63, 0.48))):
            petal = ((120, 80, 245), (200, 120, 250), (60, 60, 230))[n % 3]
            for angle in np.deg2rad(np.arange(5) * 72.0):
                pen.oval(x + 0.085 * np.cos(angle), y + 0.085 * np.sin(angle), 0.075, 0.075, petal)
            pen.oval(x, y, 0.055, 0.055, (50, 225, 250))
    elif name == 'guitar':
        pen.line([(0.5, 0.5), (0.5, 0.04)], (30, 45, 75), 0.09)
        pen.box(0.42, 0.0, 0.58, 0.11, (25, 35, 60))
        pen.oval(0.5, 0.56, 0.21, 0.17, (40, 120, 215))
        pen.oval(0.5, 0.77, 0.29, 0.22, (40, 120, 215))
        pen.oval(0.5, 0.77, 0.29, 0.22, (20, 60, 130), width=0.03)
        pen.oval(0.5, 0.56, 0.19, 0.14, (40, 120, 215))
        pen.oval(0.5, 0.66, 0.09, 0.09, (20, 30, 50))
        pen.box(0.4, 0.84, 0.6, 0.88, (20, 30, 50))
        for x in (0.475, 0.5, 0.525):
            pen.line([(x, 0.08), (x, 0.86)], (210, 225, 235), 0.008)
    elif name == 'dog':
        fur, ear = (70, 140, 200), (35, 70, 115)
        pen.oval(0.5, 0.82, 0.3, 0.26, fur)
        pen.oval(0.5, 0.88, 0.16, 0.2, (225, 238, 245))
        pen.oval(0.5, 0.4, 0.31, 0.31, fur)
        for side in (-1, 1):
            pen.oval(0.5 + side * 0.33, 0.38, 0.12, 0.27, ear, angle=-side * 14)
            pen.oval(0.5 + side * 0.13, 0.34, 0.05, 0.06, (15, 15, 15))
        pen.oval(0.5, 0.53, 0.17, 0.14, (225, 238, 245))
        pen.oval(0.5, 0.47, 0.075, 0.055, (15, 15, 15))
        pen.oval(0.5, 0.63, 0.05, 0.07, (110, 100, 240))
    elif name == 'suitcase':
        pen.line([(0.34, 0.26), (0.34, 0.08), (0.66, 0.08), (0.66, 0.26)], ink, 0.07)
        pen.box(0.05, 0.24, 0.95, 0.92, (40, 75, 125))
        pen.box(0.18, 0.24, 0.28, 0.92, (25, 45, 80))
        pen.box(0.72, 0.24, 0.82, 0.92, (25, 45, 80))
        pen.oval(0.5, 0.58, 0.13, 0.13, (60, 210, 245))
        for x in (0.14, 0.86):
            pen.oval(x, 0.95, 0.05, 0.05, ink)
    return cv2.resize(image, (_OBJECT_PIXELS, _OBJECT_PIXELS), interpolation=cv2.INTER_AREA)


# ---------------------------------------------------------------------------------------------------------------------
# Places: unit square, kept a little larger than a picture, so that every picture shows another part.

_PLACE_PIXELS = SIZE + 28
_PLACE_VARIANTS = 3


@functools.cache
def _place_picture(name: str, variant: int) -> np.ndarray:
    pixels = 2 * _PLACE_PIXELS
    image = np.zeros((pixels, pixels, 3), np.uint8)
    pen = Pen(image, pixels)
    rng = np.random.default_rng([list(PLACES).index(name), variant])
    if name == 'stadium':
        ramp(image, (120, 70, 40), (150, 110, 80), 0, 0.2)
        pen.box(0, 0.14, 1, 0.55, (95, 80, 75))
        for row in range(9):
            for x in np.arange(-0.02, 1.02, 0.032).tolist():
                colour = [(60, 60, 220), (230, 230, 230), (220, 120, 40), (60, 210, 240)][int(rng.integers(4))]
                pen.oval(x + 0.016 * (row % 2), 0.18 + row * 0.04, 0.012, 0.014, colour)
        for x in (0.12, 0.88):
            pen.box(x - 0.09, 0.01, x + 0.09, 0.1, (235, 250, 255))
            pen.line([(x, 0.1), (x, 0.2)], (60, 60, 60), 0.015)
        for lane in range(6):
            pen.box(lane / 6, 0.55, (lane + 1) / 6, 1, [(50, 160, 60), (45, 140, 50)][lane % 2])
        pen.line([(0, 0.6), (1, 0.6)], (245, 245, 245), 0.015)
    elif name == 'beach':
        ramp(image, (245, 190, 100), (250, 225, 180), 0, 0.42)
        pen.oval(0.8 - 0.3 * variant, 0.14, 0.09, 0.09, (120, 235, 255))
        ramp(image, (190, 130, 20), (215, 180, 60), 0.42, 0.62)
        for _ in range(14):
            x, y = rng.uniform(0, 1), rng.uniform(0.44, 0.6)
            pen.line([(x, y), (x + 0.08, y)], (240, 225, 190), 0.008)
        ramp(image, (150, 215, 240), (120, 190, 225), 0.62, 1)
        pen.line([(0.06, 0.64), (0.1, 0.2)], (40, 80, 120), 0.03)
        for angle in (-150, -110, -70, -30, 10, 170):
            turn = np.deg2rad(angle)
            pen.oval(0.1 + 0.09 * np.cos(turn), 0.2 + 0.06 * np.sin(turn), 0.1, 0.03, (50, 140, 40), angle=angle)
    elif name == 'courtroom':
        ramp(image, (45, 75, 125), (35, 60, 100), 0, 1)
        for x in np.arange(0.02, 1, 0.2).tolist():
            pen.box(x, 0.08, x + 0.16, 0.56, (60, 100, 160))
            pen.box(x + 0.02, 0.11, x + 0.14, 0.53, (48, 82, 135))
        pen.oval(0.5, 0.14, 0.1, 0.1, (80, 200, 235))
        pen.oval(0.5, 0.14, 0.07, 0.07, (40, 90, 150))
        pen.box(0, 0.58, 1, 0.66, (85, 130, 190))
        pen.box(0, 0.66, 1, 1, (28, 48, 85))
        for x in (0.03, 0.93):
            pen.box(x, 0.0, x + 0.04, 0.58, (215, 225, 230))
    elif name == 'street':
        ramp(image, (225, 205, 190), (235, 225, 215), 0, 0.4)
        for n, x in enumerate((0.0, 0.24, 0.5, 0.74)):
            top = 0.05 + 0.16 * rng.random()
            wall = [(95, 95, 150), (130, 130, 130), (110, 140, 165), (120, 105, 95)][(n + variant) % 4]
            pen.box(x, top, x + 0.26, 0.72, wall)
            for wy in np.arange(top + 0.04, 0.62, 0.09).tolist():
                for wx in (0.035, 0.11, 0.185):
                    pane = (150, 225, 245) if rng.random() < 0.5 else (70, 60, 55)
                    pen.box(x + wx, wy, x + wx + 0.045, wy + 0.055, pane)
        pen.box(0, 0.7, 1, 0.76, (185, 185, 185))
        pen.box(0, 0.76, 1, 1, (75, 75, 75))
        for x in np.arange(0, 1, 0.22).tolist():
            pen.box(x, 0.87, x + 0.12, 0.895, (230, 240, 240))
    elif name == 'theatre':
        ramp(image, (60, 15, 35), (90, 25, 55), 0, 1)
        for x in (0.25, 0.5, 0.75):
            beam = np.zeros_like(image)
            Pen(beam, pixels).poly([(x - 0.02, 0), (x + 0.02, 0), (x + 0.2, 0.8), (x - 0.2, 0.8)], (70, 90, 100))
            image[:] = cv2.add(image, beam)
        for side in (0, 1):
            for n in range(4):
                x = n * 0.05 if side == 0 else 0.95 - n * 0.05
                pen.box(x, 0, x + 0.05, 0.85, [(40, 25, 170), (30, 15, 120)][n % 2])
        for x in np.arange(0.0, 1.0, 0.1).tolist():
            pen.oval(x + 0.05, 0.02, 0.06, 0.1, (45, 30, 185))
        pen.box(0, 0.8, 1, 1, (50, 90, 140))
        for x in np.arange(0.05, 1, 0.1).tolist():
            pen.line([(x, 0.8), (x * 1.4 - 0.2, 1)], (35, 65, 105), 0.008)
    elif name == 'office':
        ramp(image, (225, 232, 235), (205, 212, 218), 0, 1)
        pen.box(0.05, 0.06, 0.45, 0.5, (235, 205, 160))
        for y in np.arange(0.06, 0.5, 0.05).tolist():
            pen.box(0.05, y, 0.45, y + 0.022, (250, 250, 250))
        pen.line([(0.05, 0.06), (0.45, 0.06), (0.45, 0.5), (0.05, 0.5)], (120, 120, 120), 0.014, closed=True)
        backs = [(60, 60, 190), (170, 110, 40), (70, 150, 70), (60, 180, 220), (90, 60, 110)]
        for y in (0.12, 0.28, 0.44):
            x = 0.6
            while x < 0.94:
                width = rng.uniform(0.018, 0.035)
                pen.box(x, y - 0.09, x + width, y, backs[int(rng.integers(5))])
                x += width + 0.003
            pen.box(0.57, y, 0.98, y + 0.018, (90, 130, 175))
        pen.box(0, 0.72, 1, 0.78, (140, 170, 200))
        pen.box(0, 0.78, 1, 1, (175, 185, 195))
    elif name == 'garden':
        ramp(image, (240, 215, 170), (235, 225, 200), 0, 0.24)
        for x in np.arange(-0.05, 1.1, 0.1).tolist():
            pen.oval(x, 0.28 + 0.04 * rng.random(), 0.1, 0.13, (45, 120 + int(rng.integers(40)), 45))
        pen.box(0, 0.3, 1, 0.73, (50, 135, 50))
        for _ in range(70):
            x, y = rng.uniform(0, 1, 2) * (1, 0.4) + (0, 0.2)
            colour = [(190, 120, 250), (80, 80, 240), (80, 230, 250), (250, 250, 250)][int(rng.integers(4))]
            pen.oval(x, y, 0.018, 0.018, colour)
        for x in np.arange(0.02, 1, 0.09).tolist():
            pen.poly([(x, 0.5), (x + 0.025, 0.46), (x + 0.05, 0.5), (x + 0.05, 0.72), (x, 0.72)], (240, 245, 245))
        pen.box(0, 0.55, 1, 0.58, (240, 245, 245))
        pen.box(0, 0.72, 1, 1, (80, 190, 110))
    elif name == 'airport':
        ramp(image, (250, 225, 190), (250, 240, 225), 0, 0.6)
        pen.box(0, 0.5, 1, 0.63, (165, 165, 160))
        x = 0.5 + 0.08 * (variant - 1)
        hull = [(x - 0.36, 0.44), (x + 0.3, 0.44), (x + 0.38, 0.4), (x + 0.3, 0.35), (x - 0.3, 0.35)]
        pen.poly(hull, (252, 252, 252))
        pen.poly([(x - 0.36, 0.44), (x - 0.44, 0.2), (x - 0.34, 0.2), (x - 0.22, 0.36)], (200, 90, 20))
        pen.poly([(x - 0.06, 0.42), (x + 0.1, 0.42), (x - 0.1, 0.52), (x - 0.16, 0.52)], (180, 180, 180))
        for step in np.arange(-0.2, 0.25, 0.06).tolist():
            pen.oval(x + step, 0.385, 0.012, 0.012, (120, 80, 40))
        for column in np.arange(0, 1.01, 0.25).tolist():
            pen.box(column - 0.014, 0, column + 0.014, 0.64, (110, 115, 120))
        pen.box(0, 0.12, 1, 0.145, (110, 115, 120))
        pen.box(0, 0.62, 1, 0.68, (90, 95, 100))
        ramp(image, (205, 205, 210), (170, 172, 178), 0.68, 1)
        pen.box(0.1, 0.02, 0.42, 0.1, (30, 190, 245))
    return cv2.resize(image, (_PLACE_PIXELS, _PLACE_PIXELS), interpolation=cv2.INTER_AREA)


# ---------------------------------------------------------------------------------------------------------------------
# Whole pictures


class Picture(NamedTuple):
    """A drawn scene.

    Attributes:
        image: uint8 BGR ``(SIZE, SIZE, 3)``.
        heads: The main person's head first.
    """

    image: np.ndarray
    heads: list[Head]


def draw_scene(scene: Scene, rng: np.random.Generator) -> Picture:
    """Draw the scene; positions, sizes, tilt and light are random."""
    left, top = rng.integers(0, _PLACE_PIXELS - SIZE + 1, 2)
    image = _place_picture(scene.place, int(rng.integers(_PLACE_VARIANTS)))[top : top + SIZE, left : left + SIZE]
    image = cv2.flip(image, 1) if rng.random() < 0.5 else image.copy()
    _set_mood(image, scene.mood, rng)

    side = 1 if rng.random() < 0.5 else -1  # of the main person's free hand
    middle = SIZE / 2
    if scene.second is None:
        x, size = middle - side * rng.uniform(0, 16), rng.uniform(46, 64)
    else:
        x, size = middle - side * rng.uniform(24, 32), rng.uniform(42, 56)
    main = _place_head(scene.main, scene.mood, x, rng.uniform(46, 54), size, rng)
    heads = [main]
    if scene.second is not None:
        x = middle + side * rng.uniform(34, 44)
        heads.append(_place_head(scene.second, 'neutral', x, rng.uniform(46, 60), rng.uniform(32, 41), rng))
    for head in reversed(heads):
        if head.mood == 'happy':
            _draw_raised_arm(image, head, -side)
        _draw_body(image, head)
        paste(image, head_sprite(head.row, head.mood, head.variant), head.matrix)

    size = rng.uniform(48, 56)
    x = np.clip(main.centre[0] + side * rng.uniform(27, 37), size / 2, SIZE - size / 2)
    y = SIZE - size / 2 + rng.uniform(-4, 4)
    turn, scale = np.deg2rad(rng.uniform(-10, 10)), size / _OBJECT_PIXELS
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    offset = np.array([x, y]) - linear @ np.array([_OBJECT_PIXELS / 2, _OBJECT_PIXELS / 2])
    paste(image, _object_sprite(scene.object), np.hstack([linear, offset[:, None]]))
    skin = _SKIN[PEOPLE[scene.main].skin]
    hand = Pen(image, 1.0)
    x, y = x - side * _GRIP[scene.object] * size, y + 0.28 * size
    hand.oval(x, y, 6.5, 5.5, skin)
    hand.oval(x, y, 6.5, 5.5, dark(skin, 0.4), width=1)
    return Picture(image, heads)
