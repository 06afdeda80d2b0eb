"""Renders a face from a seed and an emotion."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.labels import Emotion
from fer_core.synthetic import paint, surroundings
from fer_core.synthetic.action_units import ActionUnits, draw_intensity, draw_units
from fer_core.synthetic.field import Field, Planes, blur, cover, lay
from fer_core.synthetic.identity import Identity, draw_identity
from fer_core.synthetic.relief import apply, raise_face, shade
from fer_core.synthetic.scene import Camera, Light, Scene, draw_scene, draw_studio
from fer_core.synthetic.shapes import (
    Brows,
    Eyes,
    Head,
    Mouth,
    Nose,
    shape_brows,
    shape_eyes,
    shape_head,
    shape_mouth,
    shape_nose,
)

REGIONS = ("brows", "eyes", "nose", "mouth")
"""Facial regions with masks; `face` is the mask of the whole face."""

MIN_SIDE = 32
"""Smallest side in pixels at which eyes are visible."""

Mask = NDArray[np.bool_]

Chance = Callable[[str], np.random.Generator]
"""Returns the random generator of a part of the picture, such as `hair`."""


@dataclass(frozen=True)
class SyntheticFace:
    """A drawn face with its ground truth.

    Attributes:
        image: uint8, (side, side, 3), RGB.
        masks: Visible area of each of `REGIONS` and of `face`, bool, (side, side). Areas covered
            by hair, a hand or glasses are excluded. The eyes are the openings between the lids.
        emotion: Emotion that the face shows.
        intensity: Intensity of the expression, 0 to 1.
        units: Action units of the face.
    """

    image: NDArray[np.uint8]
    masks: Mapping[str, Mask]
    emotion: Emotion
    intensity: float
    units: ActionUnits


def render(
    seed: int,
    emotion: Emotion,
    *,
    side: int = 112,
    intensity: float | None = None,
    identity: int | None = None,
) -> SyntheticFace:
    """Draws a tightly cropped face with random pose, light and background.

    Equal arguments give equal bytes.

    Args:
        seed: Seed of everything that the other arguments do not determine.
        emotion: Emotion to draw.
        side: Height and width in pixels, at least `MIN_SIDE`.
        intensity: Intensity of the expression, 0 to 1; sampled by default.
        identity: Number of the person, to draw several images of one person; by default each seed
            is another person.

    Raises:
        ValueError: If a number is outside its range.
    """
    _check(seed, side, intensity)
    chance = np.random.default_rng(np.random.SeedSequence([seed, _ordinal(emotion)]))
    strength = draw_intensity(chance) if intensity is None else intensity
    units = draw_units(chance, emotion, strength)
    person = draw_person(seed if identity is None else identity)
    image, masks = _compose(person, units, draw_scene(chance), side, lambda _: chance)
    return SyntheticFace(image, masks, emotion, strength, units)


def units_of(seed: int, emotion: Emotion) -> ActionUnits:
    """Returns the action units of the face that `render` draws, without drawing it."""
    chance = np.random.default_rng(np.random.SeedSequence([seed, _ordinal(emotion)]))
    return draw_units(chance, emotion, draw_intensity(chance))


def portrait(seed: int, emotion: Emotion, side: int = 512) -> SyntheticFace:
    """Draws a portrait in good light with neck and shoulders and without occlusion.

    The expression has its full intensity, and the face spans about half of the width. Equal
    arguments give equal images, and the person is the same as in `render` with the same seed.

    Args:
        seed: Seed of person and scene.
        emotion: Emotion to draw.
        side: Height and width in pixels, at least `MIN_SIDE`.

    Raises:
        ValueError: If a number is outside its range.
    """
    _check(seed, side, None)
    chance = np.random.default_rng(np.random.SeedSequence([seed, _ordinal(emotion), 1]))
    units = draw_units(chance, emotion, 1.0, stray=0.3)
    image, masks = _compose(draw_person(seed), units, draw_studio(chance), side, lambda _: chance)
    return SyntheticFace(image, masks, emotion, 1.0, units)


def draw(
    identity: Identity, units: ActionUnits, scene: Scene, *, side: int, seed: int
) -> NDArray[np.uint8]:
    """Draws a person with given action units in a given scene.

    Each part of the picture has its own random numbers, which depend on the seed only. So two
    pictures with the same seed differ only by what differs between their arguments: with another
    beard the brows, the skin and the camera's noise stay the same. (`render` draws all parts from
    one stream.)

    Args:
        identity: The person.
        units: Action units.
        scene: Pose, light, background and camera.
        side: Height and width in pixels, at least `MIN_SIDE`.
        seed: Seed of textures, background and noise.

    Returns:
        uint8, shape (side, side, 3), RGB.

    Raises:
        ValueError: If a number is outside its range.
    """
    _check(seed, side, None)

    def chance(name: str) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))

    return _compose(identity, units, scene, side, chance)[0]


def _check(seed: int, side: int, intensity: float | None) -> None:
    if seed < 0:
        raise ValueError(f"A seed must be 0 or more, not {seed}.")
    if side < MIN_SIDE:
        raise ValueError(f"A face needs a side of at least {MIN_SIDE} pixels, not {side}.")
    if intensity is not None and not 0.0 <= intensity <= 1.0:
        raise ValueError(f"An intensity must lie in 0 to 1, not {intensity}.")


def _ordinal(emotion: Emotion) -> int:
    return list(Emotion).index(emotion)


def draw_person(number: int) -> Identity:
    """Returns the person with a number, as `render` draws it."""
    # A separate random stream, so that the person does not depend on the expression.
    return draw_identity(np.random.default_rng(np.random.SeedSequence([number, 1 << 20])))


def _compose(
    identity: Identity,
    units: ActionUnits,
    scene: Scene,
    side: int,
    chance: Chance,
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """Draws a person in a scene; returns the image, and the masks of the visible parts."""
    head = shape_head(identity, units, scene.pose, scene.camera, side)
    parts = _Parts(
        shape_eyes(head, identity, units, scene.pose),
        shape_brows(head, identity, units),
        shape_nose(head, identity, units),
        shape_mouth(head, identity, units),
    )
    hair = surroundings.hair_layers(head, identity, chance("hair"))
    pixel, light = head.pixel, scene.light

    picture = surroundings.backdrop(side, scene, chance("backdrop"))
    lit_hair = None
    if hair is not None:
        lit_hair = apply(hair.colour, shade(hair.height, light, pixel, skin=False, cast=False), 0.3)
        lay(picture, lit_hair * np.float32(0.6), hair.back)
    surroundings.body(picture, head, identity, light)
    surroundings.ears(picture, head, identity, scene)

    lit = _lit_skin(head, parts, identity, units, light, chance)
    face = cover(head.distance, pixel)
    visibility = face.copy()
    if hair is not None:
        lx, ly, _ = light.direction
        shift = (-round(0.06 * ly / pixel), -round(0.06 * lx / pixel))
        lit *= 1.0 - 0.42 * blur(np.roll(hair.front, shift, (0, 1)), 0.035 / pixel)
    lay(picture, lit, face)
    if hair is not None and lit_hair is not None:
        lay(picture, lit_hair, hair.front)
        visibility *= 1.0 - hair.front
    if identity.glasses:
        visibility *= 1.0 - surroundings.glasses(picture, head, identity, light)
    visibility *= 1.0 - surroundings.occluder(picture, head, identity, scene, chance("occluder"))

    return _develop(picture, scene.camera, chance("camera")), parts.masks(visibility > 0.5)


@dataclass(frozen=True)
class _Parts:
    """The shapes of a face's parts."""

    eyes: Eyes
    brows: Brows
    nose: Nose
    mouth: Mouth

    def masks(self, visible: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
        """Returns where each part is visible."""
        return {
            "brows": visible & (self.brows.distance < 0.0),
            "eyes": visible & (self.eyes.opening < 0.0),
            "nose": visible & (self.nose.distance < 0.0),
            "mouth": visible & (self.mouth.lips < 0.0),
            "face": visible,
        }


def _lit_skin(
    head: Head,
    parts: _Parts,
    identity: Identity,
    units: ActionUnits,
    light: Light,
    chance: Chance,
) -> Planes:
    """Paints the face and lights it."""
    pixel = head.pixel
    albedo = paint.skin(head, identity, chance("skin"))
    paint.nostrils(albedo, head, parts.nose, identity)
    paint.beard(albedo, head, identity, parts.mouth, chance("beard"))
    gloss = paint.lips(albedo, parts.mouth, identity, pixel)
    opening = paint.eyes(albedo, parts.eyes, identity, units, pixel)
    hairs = paint.brows(albedo, head, parts.brows, identity, chance("brows"))
    height = raise_face(head, identity, units, parts.eyes, parts.nose, parts.mouth)
    lit = apply(
        albedo, shade(height, light, pixel), gloss * (1.0 - np.maximum(opening, 0.85 * hairs))
    )
    paint.catchlights(lit, parts.eyes, opening, pixel, light.key)
    return lit


def _develop(picture: Planes, camera: Camera, chance: np.random.Generator) -> NDArray[np.uint8]:
    """Converts linear light to display values with exposure, saturation, blur and noise."""
    light = picture * np.float32(camera.exposure)
    # Soft highlight compression keeps colours in highlights.
    light = light * (1.0 + light * 0.18) / (1.0 + light * 0.55)
    display = np.sqrt(np.clip(light * 1.15, 0.0, 1.0))
    grey: Field = 0.30 * display[0] + 0.59 * display[1] + 0.11 * display[2]
    display = grey + np.float32(camera.saturation) * (display - grey)
    side = picture.shape[1]
    if camera.blur > 0.0:
        display = np.stack([blur(plane, camera.blur * side) for plane in display])
    noise = chance.standard_normal(display.shape, dtype=np.float32)
    display = display + np.float32(camera.noise) * noise
    values = np.clip(display * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8)
    return np.ascontiguousarray(values.transpose(1, 2, 0))
