"""Attributes of a drawn picture that can be changed while everything else stays the same."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fer_core.synthetic.field import Rgb, linear
from fer_core.synthetic.identity import SKIN, Beard, Hair, Identity
from fer_core.synthetic.scene import Camera, Light, Occluder, Pose, Scene

BASE = "base"
"""Name of the picture in which nothing is changed."""

PersonChange = Callable[[Identity], Identity]
SceneChange = Callable[[Scene], Scene]


@dataclass(frozen=True)
class Attribute:
    """One change of a drawn picture.

    Attributes:
        name: Key in tables and addresses.
        group: Kind of the attribute, such as `skin`.
        title: Display name of the changed picture, such as `glasses`.
        reference: Name of the attribute that the picture is compared with.
        plural: Whether the title takes a plural verb.
        person: Changes the person; None if it does not.
        scene: Changes the scene; None if it does not.
        image_change: Key of `fer_core.data.image_changes.IMAGE_CHANGES`, for changes that are
            made on the finished picture and so on real pictures too; empty for others.
    """

    name: str
    group: str
    title: str
    reference: str = BASE
    plural: bool = False
    person: PersonChange | None = None
    scene: SceneChange | None = None
    image_change: str = ""


def base_person(identity: Identity) -> Identity:
    """Returns a person without glasses and beard, with lips in their natural colour."""
    return with_skin(replace(identity, glasses=False, beard=Beard.NONE), identity.skin)


def with_skin(identity: Identity, skin: Rgb) -> Identity:
    """Returns a person with another skin, in linear light, and the lips that belong to it."""
    return replace(identity, skin=skin, lip_colour=natural_lips(skin))


def natural_lips(skin: Rgb) -> Rgb:
    """Returns the colour of lips without make-up, as `draw_identity` derives it from the skin."""
    display = 255.0 * np.sqrt(np.asarray(skin))
    return linear((display * (0.86, 0.60, 0.60) + (8.0, 2.0, 6.0)).tolist())


def base_scene(backdrop: tuple[Rgb, Rgb]) -> Scene:
    """Returns a scene in which the face looks straight ahead in soft light from the front."""
    return Scene(
        pose=Pose(roll=0.0, yaw=0.0, pitch=0.0, gaze=(0.0, 0.0)),
        light=Light(_towards(0.0, 0.5), key=0.9, ambient=0.38, tint=(1.0, 1.0, 1.0), gloss=0.6),
        camera=Camera(
            half_view=1.28,
            centre=(0.0, 0.06),
            blur=0.0,
            noise=0.012,
            exposure=1.0,
            saturation=1.0,
        ),
        backdrop=backdrop,
        occluder=Occluder.NONE,
        occluder_place=(0.0, 0.0, 0.0),
    )


def _towards(azimuth: float, elevation: float) -> tuple[float, float, float]:
    flat = math.cos(elevation)
    return flat * math.sin(azimuth), -math.sin(elevation), flat * math.cos(azimuth)


def _person(**changes: object) -> PersonChange:
    return lambda identity: replace(identity, **changes)  # type: ignore[arg-type]


def _light(**changes: object) -> SceneChange:
    return lambda scene: replace(scene, light=replace(scene.light, **changes))  # type: ignore[arg-type]


def _pose(**changes: float) -> SceneChange:
    return lambda scene: replace(scene, pose=replace(scene.pose, **changes))  # type: ignore[arg-type]


def _skin(tone: int) -> PersonChange:
    skin = linear(SKIN[tone])
    return lambda identity: with_skin(identity, skin)


_MIDDLE_TONE = len(SKIN) // 2
_YAW, _PITCH = math.radians(20), math.radians(14)
_PAINTED = linear((158, 40, 58))


def _of_person() -> tuple[Attribute, ...]:
    """Returns the attributes of the person."""
    tones = len(SKIN)
    middle = f"skin_{_MIDDLE_TONE + 1}"
    skins = tuple(
        Attribute(f"skin_{i + 1}", "skin", f"skin tone {i + 1} of {tones}", middle, person=_skin(i))
        for i in range(tones)
    )
    beards = tuple(
        Attribute(f"beard_{style}", "beard", title, person=_person(beard=style))
        for style, title in (
            (Beard.STUBBLE, "stubble"),
            (Beard.MOUSTACHE, "a moustache"),
            (Beard.FULL, "a full beard"),
        )
    )
    hairs = tuple(
        Attribute(f"hair_{style}", "hair", title, "hair_short", person=_person(hair=style))
        for style, title in (
            (Hair.SHORT, "short hair"),
            (Hair.BALD, "a bald head"),
            (Hair.FRINGE, "a fringe"),
            (Hair.LONG, "long hair"),
        )
    )
    painted = _person(lip_colour=_PAINTED)
    return (
        *skins,
        Attribute("age_young", "age", "a young face", "age_young", person=_person(age=0.1)),
        Attribute("age_old", "age", "an old face", "age_young", person=_person(age=0.9)),
        Attribute("glasses", "glasses", "glasses", plural=True, person=_person(glasses=True)),
        *beards,
        *hairs,
        Attribute("lips_painted", "lips", "painted lips", plural=True, person=painted),
    )


def _of_scene() -> tuple[Attribute, ...]:
    """Returns the attributes of light and pose."""
    lights = {
        "left": ("light from the left", _light(direction=_towards(-1.1, 0.3))),
        "right": ("light from the right", _light(direction=_towards(1.1, 0.3))),
        "above": ("light from above", _light(direction=_towards(0.0, 1.15))),
        "below": ("light from below", _light(direction=_towards(0.0, -0.6))),
        "dim": ("dim light", _light(key=0.35, ambient=0.18)),
        "bright": ("bright light", _light(key=1.5, ambient=0.5)),
    }
    poses = {
        "left": ("a head turned 20° to the left", _pose(yaw=-_YAW)),
        "right": ("a head turned 20° to the right", _pose(yaw=_YAW)),
        "up": ("a head raised by 14°", _pose(pitch=-_PITCH)),
        "down": ("a head lowered by 14°", _pose(pitch=_PITCH)),
    }
    return tuple(
        Attribute(f"{group}_{name}", group, title, scene=change)
        for group, settings in (("light", lights), ("pose", poses))
        for name, (title, change) in settings.items()
    )


_OF_IMAGE = (
    ("mirror", "mirror", "mirroring"),
    ("darker", "exposure", "underexposure"),
    ("brighter", "exposure", "overexposure"),
    ("shadow", "exposure", "a shadow over one half"),
    ("blur", "blur", "blur"),
    ("jpeg", "compression", "JPEG compression"),
    ("tighter", "margin", "a margin of -10%"),
    ("wider", "margin", "a margin of +10%"),
    ("rotated", "rotation", "a rotation by 10°"),
    ("eyes_covered", "cover", "a bar over the eyes"),
    ("mouth_covered", "cover", "a bar over the mouth"),
)
"""Name, group and title of the changes of finished pictures."""


def _attributes() -> tuple[Attribute, ...]:
    images = (Attribute(name, group, title, image_change=name) for name, group, title in _OF_IMAGE)
    return Attribute(BASE, "", "unchanged"), *_of_person(), *_of_scene(), *images


ATTRIBUTES: Mapping[str, Attribute] = {item.name: item for item in _attributes()}
"""Every change, by name; the unchanged picture is the first."""

COMPARED: tuple[Attribute, ...] = tuple(
    item for item in ATTRIBUTES.values() if item.name not in (BASE, item.reference)
)
"""The changes that are compared with their reference."""
