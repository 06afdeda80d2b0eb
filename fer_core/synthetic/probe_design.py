"""The design of a probe: the drawn faces on which models are tested.

Two parts. Response curves: each action unit, and the first prototype of each emotion, rises from 0
to 5 (FACS intensities A to E are 1 to 5) on `IDENTITIES` persons. "Only this changed": each person
shows neutral and three of the six emotions, so that each emotion is shown by half of the persons,
and every picture is drawn once for each attribute.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_core.labels import Emotion
from fer_core.records import BenchmarkInfo
from fer_core.synthetic.action_units import PROTOTYPES, UNIT_NAMES, ActionUnits
from fer_core.synthetic.attributes import ATTRIBUTES, BASE, base_person, base_scene
from fer_core.synthetic.face import MIN_SIDE, draw, draw_person
from fer_core.synthetic.identity import Identity
from fer_core.synthetic.scene import Scene, draw_scene

VERSION = 1
"""Raise it when a change of the renderer or of an attribute changes the drawn faces."""

IDENTITIES = 50
"""Persons in each response curve and each attribute."""

PAIR_IDENTITIES = 20
"""Persons in the map of two units."""

LEVELS = (0, 1, 2, 3, 4, 5)
"""Intensities; 5 is FACS intensity E."""

ATTRIBUTE_LEVEL = 5
"""Intensity of the expressions whose attributes are changed."""

DETECTED_BOX, DETECTED_CENTRE = 1.02, 0.17
"""Half the side, and the height of the centre, of the square that the face detector finds on a
drawn face, in face units: the framing of the synthetic benchmark (box 0.795, drop 0.043) in a view
of half 1.285 units around 0.06."""

_WIDEST, _TIGHTEST = 2.0, 0.9

_FIRST_PERSON = 7_000_000
"""Number of the first person; the synthetic source draws others."""


class ProbeKind(StrEnum):
    """Parts of the design that a drawn face can belong to."""

    NEUTRAL = "neutral"
    UNIT = "unit"
    PROTOTYPE = "prototype"
    ATTRIBUTE = "attribute"


@dataclass(frozen=True)
class ProbeFace:
    """One face of the design.

    Attributes:
        kind: Part of the design; `NEUTRAL` is level 0 of every curve.
        name: The unit, the emotion of the prototype or the attribute.
        expression: The shown emotion; empty for a single unit.
        level: Intensity, one of `LEVELS`.
        identity: Number of the person, from 0.
    """

    kind: ProbeKind
    name: str
    expression: str
    level: int
    identity: int

    @property
    def units(self) -> ActionUnits:
        """The face's action units."""
        if self.kind is ProbeKind.UNIT:
            return ActionUnits(**{self.name: self.level / LEVELS[-1]})
        return prototype_units(Emotion(self.expression), self.level)


@dataclass(frozen=True)
class ProbeView:
    """Size and framing of the drawn faces.

    Attributes:
        side: Height and width in pixels.
        half_view: Half of the image side in face units.
        centre: Height of the image centre in face units; positive is below the eyes.
    """

    side: int
    half_view: float = 1.285
    centre: float = 0.06

    @classmethod
    def of(cls, info: BenchmarkInfo) -> Self:
        """Returns the view that frames drawn faces as the benchmark's images are framed."""
        side = max(MIN_SIDE, info.side)
        if info.framing is None:
            return cls(side)
        half = min(_WIDEST, max(_TIGHTEST, DETECTED_BOX / info.framing.box))
        return cls(side, half, DETECTED_CENTRE - 2 * half * info.framing.drop)


def prototype_units(emotion: Emotion, level: float) -> ActionUnits:
    """Returns the first prototype of an emotion at an intensity of 0 to 5."""
    units = PROTOTYPES[emotion][0].units
    scale = level / LEVELS[-1]
    return replace(units, **{name: scale * value for name, value in units.as_mapping().items()})


@cache
def curve_faces(first: int = 0, last: int = IDENTITIES) -> tuple[ProbeFace, ...]:
    """Returns the faces of the response curves, person by person.

    Args:
        first: Number of the first person.
        last: Number after that of the last person.
    """
    faces = []
    for person in range(first, last):
        faces.append(ProbeFace(ProbeKind.NEUTRAL, "", Emotion.NEUTRAL, 0, person))
        for level in LEVELS[1:]:
            faces += [ProbeFace(ProbeKind.UNIT, unit, "", level, person) for unit in UNIT_NAMES]
            faces += [
                ProbeFace(ProbeKind.PROTOTYPE, emotion.value, emotion.value, level, person)
                for emotion in Emotion
                if emotion is not Emotion.NEUTRAL
            ]
    return tuple(faces)


def expressions_of(person: int) -> tuple[Emotion, ...]:
    """Returns the expressions of a person: neutral and three of the six emotions."""
    emotions = [emotion for emotion in Emotion if emotion is not Emotion.NEUTRAL]
    return Emotion.NEUTRAL, *(emotions[(person + step) % len(emotions)] for step in (0, 1, 3))


def attribute_faces(attribute: str = BASE) -> tuple[ProbeFace, ...]:
    """Returns the faces of one attribute, person by person."""
    return tuple(
        ProbeFace(ProbeKind.ATTRIBUTE, attribute, expression.value, ATTRIBUTE_LEVEL, person)
        for person in range(IDENTITIES)
        for expression in expressions_of(person)
    )


def draw_probe_face(face: ProbeFace, view: ProbeView) -> NDArray[np.uint8]:
    """Draws a face of the design; an attribute's change of the finished picture is not made.

    Returns:
        uint8, shape (side, side, 3), RGB.
    """
    identity, scene = _person_and_scene(face.identity, view)
    if face.kind is ProbeKind.ATTRIBUTE:
        attribute = ATTRIBUTES[face.name]
        identity = attribute.person(identity) if attribute.person else identity
        scene = attribute.scene(scene) if attribute.scene else scene
    return draw(identity, face.units, scene, side=view.side, seed=_seed(face.identity))


def draw_units(levels: Mapping[str, int], person: int, view: ProbeView) -> NDArray[np.uint8]:
    """Draws a person of the design with several units.

    Args:
        levels: Intensity of each unit, 0 to 5.
        person: Number of the person.
        view: Size and framing.
    """
    identity, scene = _person_and_scene(person, view)
    units = ActionUnits(**{name: level / LEVELS[-1] for name, level in levels.items()})
    return draw(identity, units, scene, side=view.side, seed=_seed(person))


def _seed(person: int) -> int:
    return _FIRST_PERSON + person


def _person_and_scene(person: int, view: ProbeView) -> tuple[Identity, Scene]:
    """Returns a person and a scene that has this person's background."""
    backdrop = draw_scene(np.random.default_rng(_seed(person))).backdrop
    scene = base_scene(backdrop)
    camera = replace(scene.camera, half_view=view.half_view, centre=(0.0, view.centre))
    return base_person(draw_person(_seed(person))), replace(scene, camera=camera)


@cache
def design_hash(view: ProbeView) -> str:
    """Returns a hash of the design and the view; predictions with equal hashes can be compared."""
    digest = hashlib.sha256(repr((VERSION, astuple(view))).encode())
    for face in (*curve_faces(), *attribute_faces()):
        digest.update(repr(astuple(face)).encode())
    for attribute in ATTRIBUTES.values():
        digest.update(f"{attribute.name} {attribute.reference} {attribute.image_change}".encode())
    return digest.hexdigest()[:12]
