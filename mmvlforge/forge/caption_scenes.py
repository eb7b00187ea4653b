"""Compositional scenes drawn by program: two groups of coloured objects, a person doing something, a place.

A :class:`Scene` holds the facts. :func:`sample_scene` draws them independently and uniformly (only the two kinds of
objects differ), so that no word of a caption tells anything about another. :func:`write_caption` says some of them,
:func:`draw_scene` shows all of them, and :func:`caption_is_false` knows whether a caption, edited or not,
contradicts them. Every word of a caption that is not in :data:`FUNCTION_WORDS` states a fact.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from mmvlforge.forge.drawing import Pen, dark, mix, paste, pick, ramp

__all__ = [
    'FUNCTION_WORDS', 'SIZE', 'TEMPLATES', 'VOCABULARY', 'Group', 'Layout', 'Scene', 'caption_is_false',
    'caption_roles', 'draw_scene', 'sample_layout', 'sample_scene', 'word_kind', 'write_caption',
]  # fmt: skip

SIZE = 128  # width and height of a picture in pixels
COUNTS = ('a', 'two', 'three')
COLOURS = {
    'red': (40, 30, 225),
    'yellow': (30, 225, 250),
    'green': (60, 175, 40),
    'blue': (220, 95, 25),
    'purple': (150, 35, 115),
    'pink': (185, 130, 255),
    'white': (250, 250, 250),
    'black': (25, 25, 25),
}
OBJECTS = ('ball', 'boat', 'car', 'cat', 'chair', 'cup', 'flower', 'house', 'kite', 'star')
RELATIONS = {'left': 'right', 'right': 'left', 'above': 'below', 'below': 'above'}  # each with its opposite
PLACES = ('desert', 'forest', 'kitchen', 'park', 'pool', 'snow', 'street', 'theatre')
PEOPLE = ('boy', 'girl', 'man', 'woman')
ACTIONS = ('jumping', 'reading', 'running', 'sitting', 'sleeping', 'waving')
_KINDS = {
    **dict.fromkeys(COUNTS, 'count'),
    **dict.fromkeys(COLOURS, 'colour'),
    **dict.fromkeys([*OBJECTS, *(f'{name}s' for name in OBJECTS)], 'object'),
    **dict.fromkeys(RELATIONS, 'relation'),
    **dict.fromkeys(PLACES, 'place'),
    **dict.fromkeys(PEOPLE, 'person'),
    **dict.fromkeys(ACTIONS, 'action'),
    **dict.fromkeys(('a', 'and', 'in', 'is', 'near', 'of', 'the', 'while', 'with'), 'function word'),
}
VOCABULARY = sorted(_KINDS)
FUNCTION_WORDS = tuple(word for word in VOCABULARY if _KINDS[word] == 'function word')

# {first} and {second} are a count, a colour and an object each. A template without {second} says less.
_GROUP = '{{{0}.count}} {{{0}.colour}} {{{0}.object}}'
TEMPLATES = tuple(
    template.replace('{first}', _GROUP.format('first')).replace('{second}', _GROUP.format('second')).split()
    for template in (
        '{first} {relation} {second} in the {place}',
        'in the {place} {first} {relation} {second}',
        'a {person} is {action} near {first} and {second}',
        'a {person} is {action} in the {place} with {first} and {second}',
        '{first} {relation} {second} while a {person} is {action}',
        'a {action} {person} in the {place} near {first}',
        'a {action} {person} and {first} {relation} {second}',
        'in the {place} a {person} is {action} with {first} and {second}',
    )
)


class Group(NamedTuple):
    """One to three objects of one kind and colour."""

    count: int  # type: ignore[assignment]  # hides tuple.count
    colour: str
    object: str


@dataclass(frozen=True)
class Scene:
    """All that a picture shows.

    Attributes:
        first, second: The two groups, of different objects.
        relation: Where the first group is, seen from the second; a key of :data:`RELATIONS`.
        place, person, action: One of the tables above each.
    """

    first: Group
    second: Group
    relation: str
    place: str
    person: str
    action: str

    def turned(self) -> 'Scene':
        """The same facts, told from the other group."""
        return Scene(self.second, self.first, RELATIONS[self.relation], self.place, self.person, self.action)


def sample_scene(rng: np.random.Generator) -> Scene:
    """A scene whose facts are independent and uniform."""
    first, second = (OBJECTS[row] for row in rng.permutation(len(OBJECTS))[:2])
    return Scene(
        first=Group(int(rng.integers(1, 4)), pick(rng, list(COLOURS)), first),
        second=Group(int(rng.integers(1, 4)), pick(rng, list(COLOURS)), second),
        relation=pick(rng, list(RELATIONS)),
        place=pick(rng, PLACES),
        person=pick(rng, PEOPLE),
        action=pick(rng, ACTIONS),
    )


def _facts(scene: Scene) -> dict[str, str]:
    """The word that states each fact, by its role."""
    facts = dict(relation=scene.relation, place=scene.place, person=scene.person, action=scene.action)
    for name, group in (('first', scene.first), ('second', scene.second)):
        plural = 's' if group.count > 1 else ''
        words = dict(count=COUNTS[group.count - 1], colour=group.colour, object=group.object + plural)
        facts.update({f'{name}.{part}': word for part, word in words.items()})
    return facts


def write_caption(scene: Scene, template: int) -> list[str]:
    """The words of a caption: lower case, no punctuation, 9 to 16 words.

    Args:
        scene: What to say; :meth:`Scene.turned` starts with the other group.
        template: Row of :data:`TEMPLATES`.
    """
    return [word for word, _ in _words_and_roles(scene, template)]


def caption_roles(scene: Scene, template: int) -> list[str]:
    """The fact that each word of :func:`write_caption` states, such as 'first.colour'; '' for function words."""
    return [role for _, role in _words_and_roles(scene, template)]


def _words_and_roles(scene: Scene, template: int) -> list[tuple[str, str]]:
    facts, result = _facts(scene), []
    for part in TEMPLATES[template]:
        role = part[1:-1] if part.startswith('{') else ''
        result.append((facts[role] if role else part, role))
        if role == 'relation' and facts[role] in ('left', 'right'):
            result.append(('of', ''))
    return result


def word_kind(word: str) -> str:
    """The kind of fact that a word states, such as 'colour'; 'function word' for the others."""
    return _KINDS.get(word, 'function word')


def caption_is_false(words: Sequence[str], roles: Sequence[str], scene: Scene) -> bool:
    """Whether a caption, as it stands after an edition, is not true of the scene.

    A word in the place of a fact that is of no such kind (a place where a colour should be) makes it false, too.
    Function words never do.

    Args:
        words: The caption, one word for one of the original.
        roles: What each word states, from :func:`caption_roles`.
        scene: What is shown.
    """
    # Told from either group: after several edits a caption may be true in the other way.
    for facts in (_facts(scene), _facts(scene.turned())):
        if all(not role or word == facts[role] for word, role in zip(words, roles)):
            return False
    return True


# ---------------------------------------------------------------------------------------------------------------------
# Sprites, drawn on an enlarged canvas in unit coordinates

_SPRITE = 96  # pixels
_DRAWN = 384


def _sprite(draw, *args) -> np.ndarray:
    """What ``draw(pen, *args)`` draws with a white rim, so that it stands out everywhere; uint8 ``(96, 96, 4)``."""
    layer = np.zeros((_DRAWN, _DRAWN, 4), np.uint8)
    draw(Pen(layer, 0.92 * _DRAWN, (0.04 * _DRAWN, 0.04 * _DRAWN)), *args)
    rim = cv2.dilate(layer[:, :, 3], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (23, 23)))
    clear = (255 - layer[:, :, 3:].astype(np.float32)) / 255
    image = layer + clear * rim[:, :, None]
    return cv2.resize(np.round(image).astype(np.uint8), (_SPRITE, _SPRITE), interpolation=cv2.INTER_AREA)


@functools.cache
def _object_sprite(name: str, colour: str) -> np.ndarray:
    return _sprite(_draw_object, name, COLOURS[colour])


def _draw_object(pen: Pen, name: str, colour) -> None:
    ink = (120, 120, 120) if colour == COLOURS['black'] else dark(colour, 0.6)
    shade, light = mix(colour, ink, 0.4), mix(colour, (255, 255, 255), 0.5)
    if name == 'ball':
        pen.oval(0.5, 0.5, 0.45, 0.45, colour)
        pen.oval(0.5, 0.5, 0.2, 0.45, ink, width=0.04)
        pen.oval(0.5, 0.5, 0.45, 0.45, ink, width=0.04)
        pen.line([(0.05, 0.5), (0.95, 0.5)], ink, 0.04)
    elif name == 'boat':
        pen.line([(0.48, 0.05), (0.48, 0.7)], (40, 70, 110), 0.05)
        pen.poly([(0.53, 0.06), (0.53, 0.6), (0.95, 0.6)], colour)
        pen.poly([(0.43, 0.16), (0.43, 0.6), (0.1, 0.6)], colour)
        pen.poly([(0.0, 0.68), (1.0, 0.68), (0.82, 0.96), (0.18, 0.96)], colour)
        pen.line([(0.0, 0.68), (1.0, 0.68), (0.82, 0.96), (0.18, 0.96)], ink, 0.04, closed=True)
    elif name == 'car':
        pen.poly([(0.2, 0.5), (0.33, 0.22), (0.7, 0.22), (0.85, 0.5)], colour)
        pen.poly([(0.28, 0.48), (0.37, 0.29), (0.5, 0.29), (0.5, 0.48)], (245, 225, 190))
        pen.poly([(0.55, 0.48), (0.55, 0.29), (0.67, 0.29), (0.76, 0.48)], (245, 225, 190))
        pen.box(0.0, 0.46, 1.0, 0.76, colour)
        pen.line([(0.02, 0.62), (0.98, 0.62)], ink, 0.03)
        for x in (0.23, 0.77):
            pen.oval(x, 0.77, 0.14, 0.14, (50, 50, 50))
            pen.oval(x, 0.77, 0.06, 0.06, (200, 200, 200))
    elif name == 'cat':
        pen.line([(0.72, 0.9), (0.93, 0.84), (0.94, 0.58)], colour, 0.1)
        pen.oval(0.46, 0.76, 0.28, 0.23, colour)
        for side in (-1, 1):
            pen.poly([(0.46 + side * 0.3, 0.3), (0.46 + side * 0.28, 0.0), (0.46 + side * 0.05, 0.16)], colour)
        pen.oval(0.46, 0.34, 0.32, 0.27, colour)
        for side in (-1, 1):
            pen.oval(0.46 + side * 0.13, 0.3, 0.06, 0.07, (250, 250, 250))
            pen.oval(0.46 + side * 0.13, 0.3, 0.03, 0.06, (20, 20, 20))
            for drop in (-0.03, 0.05):
                pen.line([(0.46 + side * 0.1, 0.44), (0.46 + side * 0.36, 0.44 + drop)], ink, 0.02)
        pen.poly([(0.41, 0.4), (0.51, 0.4), (0.46, 0.46)], (150, 120, 250))
        pen.line([(0.25, 0.62), (0.67, 0.62)], ink, 0.03)
    elif name == 'chair':
        for x in (0.2, 0.76):
            pen.line([(x, 0.02), (x, 0.98)], colour, 0.1)
        pen.box(0.16, 0.05, 0.8, 0.2, colour)
        pen.box(0.16, 0.28, 0.8, 0.38, colour)
        pen.box(0.1, 0.56, 0.9, 0.7, colour)
        pen.line([(0.1, 0.56), (0.9, 0.56), (0.9, 0.7), (0.1, 0.7)], ink, 0.03, closed=True)
    elif name == 'cup':
        pen.oval(0.74, 0.53, 0.2, 0.2, colour, width=0.1)
        pen.poly([(0.08, 0.2), (0.76, 0.2), (0.66, 0.92), (0.18, 0.92)], colour)
        pen.oval(0.42, 0.2, 0.34, 0.09, ink)
        pen.oval(0.42, 0.21, 0.28, 0.06, (50, 85, 125))
        pen.oval(0.42, 0.92, 0.42, 0.05, shade)
    elif name == 'flower':
        pen.line([(0.5, 0.5), (0.5, 0.99)], (40, 120, 30), 0.07)
        pen.oval(0.66, 0.84, 0.16, 0.06, (40, 120, 30), angle=-30)
        for angle in np.deg2rad(np.arange(6) * 60.0):
            x, y = 0.5 + 0.23 * np.cos(angle), 0.34 + 0.23 * np.sin(angle)
            pen.oval(x, y, 0.15, 0.15, colour)
            pen.oval(x, y, 0.15, 0.15, ink, width=0.02)
        pen.oval(0.5, 0.34, 0.13, 0.13, (40, 75, 120))
    elif name == 'house':
        pen.box(0.1, 0.42, 0.9, 0.96, colour)
        pen.poly([(0.0, 0.46), (0.5, 0.03), (1.0, 0.46)], shade)
        pen.box(0.42, 0.62, 0.6, 0.96, (40, 70, 110))
        for x in (0.18, 0.68):
            pen.box(x, 0.54, x + 0.15, 0.7, (245, 225, 190))
        pen.line([(0.1, 0.46), (0.1, 0.96), (0.9, 0.96), (0.9, 0.46)], ink, 0.03)
    elif name == 'kite':
        pen.line([(0.5, 0.7), (0.42, 0.8), (0.56, 0.88), (0.48, 0.98)], (60, 60, 60), 0.03)
        pen.poly([(0.5, 0.0), (0.86, 0.3), (0.5, 0.76), (0.14, 0.3)], colour)
        pen.line([(0.5, 0.0), (0.5, 0.76)], ink, 0.04)
        pen.line([(0.14, 0.3), (0.86, 0.3)], ink, 0.04)
        pen.poly([(0.38, 0.78), (0.38, 0.9), (0.6, 0.78), (0.6, 0.9)], colour)
    elif name == 'star':
        angle = np.deg2rad(np.arange(10) * 36.0 - 90)
        radius = np.where(np.arange(10) % 2 == 0, 0.5, 0.21)
        points = np.stack([0.5 + radius * np.cos(angle), 0.54 + radius * np.sin(angle)], 1)
        pen.poly(points, colour)
        pen.line(points, ink, 0.03, closed=True)
        pen.oval(0.44, 0.46, 0.05, 0.05, light)


_SKIN = (150, 190, 235)
_SHOE = (40, 40, 40)


class _Look(NamedTuple):
    hair: tuple[int, int, int]
    shirt: tuple[int, int, int]
    legs: tuple[int, int, int]
    skirt: bool
    size: float  # share of an adult's height


_LOOKS = {
    'boy': _Look((60, 120, 190), (40, 150, 250), (150, 100, 60), False, 0.72),
    'girl': _Look((40, 90, 220), (190, 200, 60), _SKIN, True, 0.72),
    'man': _Look((30, 30, 30), (100, 60, 40), (90, 90, 90), False, 1.0),
    'woman': _Look((30, 55, 95), (120, 70, 200), _SKIN, True, 1.0),
}
_STANDING = (((0.45, 0.78), (0.44, 0.97)), ((0.55, 0.78), (0.56, 0.97)))
# Joints of each pose in units of a standing adult, facing right: elbow and hand twice, knee and foot twice.
_POSES = {
    'jumping': (
        ((0.3, 0.28), (0.2, 0.06)),
        ((0.7, 0.28), (0.8, 0.06)),
        ((0.3, 0.7), (0.22, 0.86)),
        ((0.7, 0.7), (0.78, 0.86)),
    ),
    'reading': (((0.32, 0.5), (0.46, 0.52)), ((0.68, 0.5), (0.56, 0.52)), *_STANDING),
    'running': (
        ((0.3, 0.46), (0.2, 0.36)),
        ((0.7, 0.48), (0.84, 0.38)),
        ((0.36, 0.76), (0.14, 0.84)),
        ((0.72, 0.72), (0.7, 0.94)),
    ),
    'sitting': (
        ((0.38, 0.5), (0.5, 0.6)),
        ((0.6, 0.5), (0.7, 0.6)),
        ((0.76, 0.66), (0.74, 0.94)),
        ((0.82, 0.68), (0.82, 0.95)),
    ),
    'waving': (((0.34, 0.5), (0.34, 0.64)), ((0.74, 0.3), (0.84, 0.06)), *_STANDING),
}


@functools.cache
def _person_sprite(person: str, action: str, side: int) -> np.ndarray:
    sprite = _sprite(_draw_person, _LOOKS[person], action)
    return sprite if side == 1 else cv2.flip(sprite, 1)


def _draw_person(pen: Pen, look: _Look, action: str) -> None:
    if action == 'sleeping':
        pen.box(0.0, 0.72, 1.0, 0.86, (70, 110, 150))
        pen.oval(0.15, 0.62, 0.16, 0.12, (250, 250, 250))
        _draw_head(pen, look, 0.18, 0.55)
        pen.poly([(0.34, 0.72), (0.34, 0.52), (0.6, 0.46), (0.96, 0.58), (0.98, 0.72)], look.shirt)
        for n, (x, y) in enumerate(((0.4, 0.3), (0.56, 0.18), (0.76, 0.04))):
            size = 0.09 + 0.03 * n
            pen.line([(x, y), (x + size, y), (x, y + size), (x + size, y + size)], (120, 60, 30), 0.035)
        return
    arm_a, arm_b, leg_a, leg_b = _POSES[action]
    shoulder, hip = 0.34, 0.62
    if action == 'sitting':
        pen.box(0.2, 0.66, 0.62, 0.98, (60, 100, 150))
        pen.box(0.2, 0.66, 0.62, 0.72, (90, 140, 190))
    if action == 'jumping':
        pen.oval(0.5, 0.97, 0.26, 0.03, (70, 70, 70))
    for leg in (leg_a, leg_b):
        pen.line([(0.5, hip - 0.02), *leg], look.legs, 0.1)
        pen.oval(leg[1][0] + 0.03, leg[1][1], 0.07, 0.04, _SHOE)
    if look.skirt:
        pen.poly([(0.42, shoulder), (0.58, shoulder), (0.7, hip + 0.08), (0.3, hip + 0.08)], look.shirt)
    pen.box(0.39, shoulder - 0.03, 0.61, hip, look.shirt)
    for arm in (arm_a, arm_b):
        pen.line([(0.5, shoulder + 0.02), *arm], dark(look.shirt, 0.15), 0.08)
        pen.oval(*arm[1], 0.05, 0.05, _SKIN)
    _draw_head(pen, look, 0.5, 0.19)
    if action == 'reading':
        book = [(0.26, 0.4), (0.5, 0.46), (0.74, 0.4), (0.74, 0.62), (0.5, 0.68), (0.26, 0.62)]
        pen.poly(book, (250, 250, 250))
        pen.line(book, (30, 30, 160), 0.04, closed=True)
        pen.line([(0.5, 0.46), (0.5, 0.68)], (30, 30, 160), 0.03)


def _draw_head(pen: Pen, look: _Look, x: float, y: float) -> None:
    if look.skirt and look.size < 1:  # bunches
        for side in (-1, 1):
            pen.oval(x + side * 0.2, y + 0.05, 0.07, 0.1, look.hair)
    elif look.skirt:  # long hair
        pen.box(x - 0.17, y - 0.04, x + 0.17, y + 0.2, look.hair)
    pen.oval(x, y - 0.03, 0.17, 0.16, look.hair)
    pen.oval(x, y + 0.02, 0.13, 0.14, _SKIN)
    for side in (-1, 1):
        pen.oval(x + side * 0.05, y, 0.02, 0.025, (30, 30, 30))
    if not look.skirt and look.size < 1:  # a cap
        pen.poly([(x - 0.17, y - 0.05), (x - 0.12, y - 0.19), (x + 0.12, y - 0.19), (x + 0.28, y - 0.05)], look.shirt)
    elif not look.skirt:  # a beard
        pen.oval(x, y + 0.11, 0.11, 0.07, look.hair)


# ---------------------------------------------------------------------------------------------------------------------
# Places, kept a little larger than a picture, so that every picture shows another part

_PLACE = SIZE + 24


@functools.cache
def _place_picture(name: str) -> np.ndarray:
    image = np.zeros((_PLACE, _PLACE, 3), np.uint8)
    pen = Pen(image, _PLACE)
    rng = np.random.default_rng(PLACES.index(name))
    if name == 'desert':
        ramp(image, (150, 205, 250), (190, 225, 250), 0, 0.4)
        ramp(image, (70, 150, 225), (50, 120, 200), 0.4, 1)
        for x, y, width in ((0.2, 0.5, 0.4), (0.75, 0.6, 0.5), (0.3, 0.8, 0.6)):
            pen.oval(x, y, width, 0.12, (85, 170, 240))
    elif name == 'forest':
        ramp(image, (40, 75, 30), (25, 60, 25), 0, 1)
        for x in np.arange(0.03, 1, 0.13).tolist():
            pen.box(x, 0.0, x + 0.05, 0.85, (30, 50, 75))
        for _ in range(40):
            x, y = rng.uniform(0, 1, 2) * (1, 0.5)
            pen.oval(x, y, 0.08, 0.05, (35, 70 + int(rng.integers(40)), 30))
    elif name == 'kitchen':
        for row in range(6):
            for column in range(10):
                shade = (215, 225, 225) if (row + column) % 2 else (170, 205, 215)
                pen.box(column / 10, row / 10, (column + 1) / 10, (row + 1) / 10, shade)
        ramp(image, (110, 150, 190), (90, 130, 170), 0.6, 1)
        for x in (0.05, 0.38, 0.71):
            pen.box(x, 0.68, x + 0.25, 0.96, (70, 105, 145))
    elif name == 'park':
        ramp(image, (250, 215, 160), (245, 235, 215), 0, 0.35)
        for x in np.arange(0.0, 1.1, 0.2).tolist():
            pen.oval(x, 0.35, 0.13, 0.14, (60, 165, 80))
        ramp(image, (90, 215, 130), (70, 195, 110), 0.38, 1)
    elif name == 'pool':
        ramp(image, (225, 205, 80), (200, 165, 40), 0, 1)
        for y in (0.1, 0.36, 0.62, 0.88):
            for x in np.arange(0, 1, 0.1).tolist():
                pen.oval(x + 0.05, y, 0.035, 0.02, (250, 250, 250))
        for _ in range(40):
            x, y = rng.uniform(0, 1, 2)
            pen.line([(x, y), (x + 0.06, y)], (245, 235, 170), 0.01)
    elif name == 'snow':
        ramp(image, (235, 215, 195), (245, 235, 225), 0, 0.4)
        ramp(image, (255, 250, 245), (250, 240, 230), 0.4, 1)
        for x in (0.1, 0.35, 0.62, 0.9):
            for step in range(3):
                top = 0.12 + 0.09 * step
                half = 0.05 + 0.025 * step
                pen.poly([(x, top), (x - half, top + 0.13), (x + half, top + 0.13)], (130, 130, 95))
    elif name == 'street':
        ramp(image, (215, 200, 190), (225, 215, 205), 0, 0.5)
        for n, x in enumerate((0.0, 0.26, 0.52, 0.78)):
            pen.box(x, 0.06 + 0.05 * (n % 3), x + 0.22, 0.5, ((90, 100, 150), (130, 130, 135), (105, 125, 160))[n % 3])
            for y in (0.2, 0.32):
                for dx in (0.03, 0.13):
                    pen.box(x + dx, y, x + dx + 0.06, y + 0.07, (150, 225, 245))
        ramp(image, (95, 95, 95), (75, 75, 75), 0.5, 1)
        for x in np.arange(0, 1, 0.24).tolist():
            pen.box(x, 0.74, x + 0.14, 0.77, (230, 240, 240))
    elif name == 'theatre':
        ramp(image, (45, 20, 130), (35, 15, 100), 0, 0.72)
        for x in np.arange(0, 1, 0.08).tolist():
            pen.box(x, 0, x + 0.035, 0.72, (60, 30, 165))
        ramp(image, (60, 110, 170), (45, 85, 140), 0.72, 1)
    return image


# ---------------------------------------------------------------------------------------------------------------------
# Whole pictures

_COLUMN = 44  # width of the strip that the person has alone, in pixels


@dataclass(frozen=True)
class Layout:
    """All that a picture leaves to chance.

    Attributes:
        corner: Upper left corner of the picture in the place's.
        side: 1 with the person at the right edge, -1 at the left one.
        centres, sizes, turns: Of the things to draw, the person first and then the objects: pixels ``(n, 2)``,
            pixels ``(n,)`` and degrees ``(n,)``.
        phases: Where in its swing each thing is in a video, radians ``(n,)``, the same in a group.
    """

    corner: tuple[int, int]
    side: int
    centres: np.ndarray
    sizes: np.ndarray
    turns: np.ndarray
    phases: np.ndarray


def _spots(count: int, wide: bool) -> list[tuple[float, float]]:
    """Centres of a group's objects in the unit square of its cell."""
    if not wide:
        return [(0.5, (row + 0.5) / count) for row in range(count)]
    return [[(0.5, 0.5)], [(0.26, 0.5), (0.74, 0.5)], [(0.5, 0.26), (0.24, 0.74), (0.76, 0.74)]][count - 1]


def sample_layout(scene: Scene, rng: np.random.Generator) -> Layout:
    """A layout that shows the scene's relation."""
    side = 1 if rng.random() < 0.5 else -1
    left = 0 if side == 1 else _COLUMN
    width = SIZE - _COLUMN
    height = 62 * _LOOKS[scene.person].size
    centres = [(left + width + _COLUMN / 2 if side == 1 else _COLUMN / 2, rng.uniform(60, 100))]
    # Lying, one must fit the strip.
    sizes = [min(height, _COLUMN if scene.action == 'sleeping' else height) * rng.uniform(0.92, 1.08)]
    phases = [rng.uniform(0, 2 * np.pi)]
    wide = scene.relation in ('above', 'below')
    before, after = (scene.first, scene.second) if scene.relation in ('left', 'above') else (scene.second, scene.first)
    for number, group in enumerate((before, after)):
        cell_w, cell_h = (width, SIZE / 2) if wide else (width / 2, SIZE)
        x, y = (left, number * cell_h) if wide else (left + number * cell_w, 0)
        largest = (44, 38, 30) if wide else (40, 40, 38)
        size = largest[group.count - 1] * rng.uniform(0.88, 1.04)
        phase = rng.uniform(0, 2 * np.pi)
        for spot_x, spot_y in _spots(group.count, wide):
            # A single object may be anywhere in its cell; several keep their distance.
            play = 0.2 if group.count == 1 else 0.03
            shift = rng.uniform(-play, play, 2) * ((1, 0.3) if wide else (0.2, 1))
            centres.append((x + (spot_x + shift[0]) * cell_w, y + (spot_y + shift[1]) * cell_h))
            sizes.append(size)
            phases.append(phase)
    turns = rng.uniform(-8, 8, len(sizes))
    corner = rng.integers(0, _PLACE - SIZE + 1, 2)
    return Layout(tuple(corner.tolist()), side, np.array(centres), np.array(sizes), turns, np.array(phases))


def draw_scene(scene: Scene, layout: Layout, swing: float = 0.0) -> np.ndarray:
    """Draw the scene, uint8 BGR ``(SIZE, SIZE, 3)``.

    Args:
        scene: What to show.
        layout: Where.
        swing: Where in their swing all things are, radians; frames of a video differ in it.
    """
    x, y = layout.corner
    image = _place_picture(scene.place)[y : y + SIZE, x : x + SIZE].copy()
    sprites = [_person_sprite(scene.person, scene.action, layout.side)]
    before, after = (scene.first, scene.second) if scene.relation in ('left', 'above') else (scene.second, scene.first)
    for group in (before, after):
        sprites += [_object_sprite(group.object, group.colour)] * group.count
    angle = layout.phases + swing
    centres = layout.centres + 3 * (np.stack([np.cos(angle), np.sin(angle)], 1) - [1, 0]) * bool(swing)
    for sprite, centre, size, turn in zip(sprites, centres, layout.sizes, np.deg2rad(layout.turns)):
        linear = size / _SPRITE * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        centre = np.clip(centre, 0.52 * size, SIZE - 0.52 * size)
        paste(image, sprite, np.hstack([linear, (centre - linear @ np.full(2, _SPRITE / 2))[:, None]]))
    return image
