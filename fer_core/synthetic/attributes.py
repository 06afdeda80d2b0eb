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
        group: What kind of attribute it is, such as `skin`.
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


def _attributes() -> tuple[Attribute, ...]:
    middle = f"skin_{_MIDDLE_TONE + 1}"
    return (
        Attribute(BASE, "", "unchanged"),
        *(
            Attribute(
                f"skin_{tone + 1}",
                "skin",
                f"skin tone {tone + 1} of {len(SKIN)}",
                reference=middle,
                person=_skin(tone),
            )
            for tone in range(len(SKIN))
        ),
        Attribute("age_young", "age", "a young face", "age_young", person=_person(age=0.1)),
        Attribute("age_old", "age", "an old face", "age_young", person=_person(age=0.9)),
        Attribute("glasses", "glasses", "glasses", plural=True, person=_person(glasses=True)),
        Attribute("beard_stubble", "beard", "stubble", person=_person(beard=Beard.STUBBLE)),
        Attribute("beard_moustache", "beard", "a moustache", person=_person(beard=Beard.MOUSTACHE)),
        Attribute("beard_full", "beard", "a full beard", person=_person(beard=Beard.FULL)),
        Attribute(
            "hair_short", "hair", "short hair", "hair_short", person=_person(hair=Hair.SHORT)
        ),
        Attribute("hair_bald", "hair", "a bald head", "hair_short", person=_person(hair=Hair.BALD)),
        Attribute(
            "hair_fringe", "hair", "a fringe", "hair_short", person=_person(hair=Hair.FRINGE)
        ),
        Attribute("hair_long", "hair", "long hair", "hair_short", person=_person(hair=Hair.LONG)),
        Attribute(
            "lips_painted",
            "lips",
            "painted lips",
            plural=True,
            person=_person(lip_colour=_PAINTED),
        ),
        Attribute(
            "light_left",
            "light",
            "light from the left",
            scene=_light(direction=_towards(-1.1, 0.3)),
        ),
        Attribute(
            "light_right",
            "light",
            "light from the right",
            scene=_light(direction=_towards(1.1, 0.3)),
        ),
        Attribute(
            "light_above", "light", "light from above", scene=_light(direction=_towards(0.0, 1.15))
        ),
        Attribute(
            "light_below", "light", "light from below", scene=_light(direction=_towards(0.0, -0.6))
        ),
        Attribute("light_dim", "light", "dim light", scene=_light(key=0.35, ambient=0.18)),
        Attribute("light_bright", "light", "bright light", scene=_light(key=1.5, ambient=0.5)),
        Attribute("pose_left", "pose", "a head turned 20° to the left", scene=_pose(yaw=-_YAW)),
        Attribute("pose_right", "pose", "a head turned 20° to the right", scene=_pose(yaw=_YAW)),
        Attribute("pose_up", "pose", "a head raised by 14°", scene=_pose(pitch=-_PITCH)),
        Attribute("pose_down", "pose", "a head lowered by 14°", scene=_pose(pitch=_PITCH)),
        *(
            Attribute(name, group, title, image_change=name)
            for name, group, title in (
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
        ),
    )


ATTRIBUTES: Mapping[str, Attribute] = {item.name: item for item in _attributes()}
"""Every change, by name; the unchanged picture is the first."""

COMPARED: tuple[Attribute, ...] = tuple(
    item for item in ATTRIBUTES.values() if item.name not in (BASE, item.reference)
)
"""The changes that are compared with their reference."""
